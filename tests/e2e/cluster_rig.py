"""A cluster beside a platform, in a thread: an API server (a twin, or a kubeconfig's) and a node of processes."""

import asyncio
import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hollow_node import HollowNode
from kube_controllers import Controllers
from kube_server import KubeServer
from kube_store import KubeStore
from placement_rigs import write_kubeconfig
from process_node import ProcessNode

from tokenforge.cluster.kubernetes.api import Api, connect

START_LIMIT_S = 30.0


@dataclass(slots=True)
class Cluster:
    """What a platform is told of it (`settings`), and its node."""

    namespace: str
    node: ProcessNode
    settings: dict[str, str]

    def pods(self) -> list[str]:
        """Names of the pods that its node has not seen the end of."""
        return asyncio.run(_names(Path(self.settings["KUBECONFIG"]), self.namespace))


@contextmanager
def cluster(
    folder: Path, home: Path, *, kubeconfig: Path | None, site: dict[str, object],
    secrets: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[Cluster]:  # fmt: skip
    """Until the end of the block; a real cluster loses the namespace and the node that were made on it."""
    folder.mkdir()
    namespace = f"tf-test-{uuid.uuid4().hex[:8]}"
    began, ended, made = threading.Event(), threading.Event(), list[Cluster]()

    async def live() -> None:
        server = KubeServer(KubeStore())
        controlling: asyncio.Task[None] | None = None
        config = kubeconfig
        if config is None:
            await server.start()
            controlling = asyncio.create_task(Controllers(server.store).run())
            config = write_kubeconfig(folder / "kubeconfig", server.url)
        api, _ = connect(config)
        path = f"/api/v1/namespaces/{namespace}"
        await api.apply(path, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        node = ProcessNode(
            HollowNode(api=api, namespace=namespace, name=f"node-{namespace}"), home, folder, secrets=secrets or {}
        )
        running = asyncio.create_task(node.run())
        file = folder / "site.yaml"
        file.write_text(json.dumps({"namespace": namespace, "instance": namespace, **site}))
        made.append(Cluster(namespace, node, {"KUBECONFIG": str(config), "TOKENFORGE_KUBERNETES": str(file)}))
        began.set()
        await asyncio.to_thread(ended.wait)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await _leave(api, path, node.hollow.name)
        if controlling is not None:
            controlling.cancel()
            await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(live()), name="cluster")
    thread.start()
    try:
        assert began.wait(START_LIMIT_S)
        yield made[0]
    finally:
        ended.set()
        thread.join(START_LIMIT_S)


async def _leave(api: Api, namespace: str, node: str) -> None:
    await api.delete(f"/api/v1/nodes/{node}")
    await api.delete(namespace)
    await api.close()


async def _names(kubeconfig: Path, namespace: str) -> list[str]:
    api, _ = connect(kubeconfig)
    try:
        found, _ = await api.list(f"/api/v1/namespaces/{namespace}/pods", params={})
    finally:
        await api.close()
    return [pod["metadata"]["name"] for pod in found]
