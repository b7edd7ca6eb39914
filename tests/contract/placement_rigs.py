"""Where deployments can be placed, for one suite of tests: processes of this machine, a cluster twin, a real cluster.

A rig has a store and a place that outlive any control. What differs between places (how a worker is made to fail, how
workers are counted) is here; the suite knows nothing of it.
"""

import asyncio
import itertools
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from fleet_twin import INFO
from hollow_node import HollowNode
from kube_controllers import Controllers
from kube_server import KubeServer
from kube_store import KubeStore
from own_children import child_pids, reap

from tokenforge.cluster.fleet_files import FleetFiles
from tokenforge.cluster.kubernetes.api import Api, connect
from tokenforge.cluster.kubernetes.orchestrator import KubernetesOrchestrator
from tokenforge.cluster.local_fleet import LocalFleet, end_fleet
from tokenforge.cluster.manifests.site import Pace, Site
from tokenforge.control.clusters import ClusterControl
from tokenforge.control.loop import Control
from tokenforge.control.preparations import Preparations
from tokenforge.control.prepare import Prepared
from tokenforge.domain.deployment import Deployment, DeploymentId, DeploymentSpec
from tokenforge.domain.generation import RuntimeInfo
from tokenforge.domain.model import parse_model
from tokenforge.domain.placement import Placement
from tokenforge.domain.runtime import parse_runtime
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.store.sql.store import Store

LIMIT_S = 60.0
BROKEN = {"no_such_option": 1}
"""Engine arguments with which a worker ends before it serves."""

SPEC = DeploymentSpec(name="tiny", model=parse_model("synthetic:tiny"), runtime=parse_runtime("sim"))


class Place(Protocol):
    """What a suite needs of a place."""

    spec: DeploymentSpec

    def control(self, store: Store, owner: str) -> Callable[[asyncio.Event], Awaitable[None]]:
        """A control process: it works until the event, and leaves what runs."""
        ...

    async def workers(self) -> list[str]:
        """Names of those that exist, the dead too."""
        ...

    async def kill_one(self) -> None:
        """End a worker that nobody asked to end."""
        ...


@dataclass(slots=True)
class LocalPlace:
    """Processes of this machine."""

    folder: Path
    model: Path
    spec: DeploymentSpec = SPEC

    def control(self, store: Store, owner: str) -> Callable[[asyncio.Event], Awaitable[None]]:
        numbers = itertools.count()
        return Control(
            deployments=store.deployments, observations=store.observations, events=store.events, leases=store.leases,
            demands=store.demands, fleet=self._fleet(),
            preparations=Preparations(work=lambda spec, _: self._prepared(spec)), owner=owner,
            new_id=lambda: f"{owner}{next(numbers)}", free_bytes=lambda: 64 * 2.0**30, drain_s=0.5, tick_s=0.02,
        ).run  # fmt: skip

    async def workers(self) -> list[str]:
        return [worker.name for worker in await self._fleet().look()]

    async def kill_one(self) -> None:
        living = [worker.name for worker in await self._fleet().look() if worker.is_alive]
        entry = FleetFiles(self.folder).entry(living[0])
        assert entry is not None
        assert entry.process is not None
        os.kill(entry.process.pid, signal.SIGKILL)

    def _fleet(self) -> LocalFleet:
        return LocalFleet(folder=self.folder)

    def _prepared(self, spec: DeploymentSpec) -> Prepared:
        runtime = RuntimeSpec(
            runtime="sim", model_path=str(self.model), served_name=str(spec.model), engine_args=spec.engine_args
        )
        return Prepared(runtime=runtime, python=Path(sys.executable), process_env=dict(os.environ))


@dataclass(slots=True)
class ClusterPlace:
    """A cluster, with a hollow node on which the suite's pods run."""

    node: HollowNode
    site: Site
    new_api: Callable[[], Api]
    spec: DeploymentSpec = SPEC
    orchestrators: list[KubernetesOrchestrator] = field(default_factory=list)

    def control(self, store: Store, owner: str) -> Callable[[asyncio.Event], Awaitable[None]]:
        async def run(stop: asyncio.Event) -> None:
            lease = None
            while lease is None and not stop.is_set():
                lease = await store.leases.acquire("control", owner=owner, ttl_s=LIMIT_S)
                await asyncio.sleep(0.02)
            orchestrator = self.orchestrator()
            control = ClusterControl(
                deployments=store.deployments, observations=store.observations, events=store.events,
                lease=lambda: lease, orchestrator=orchestrator, tick_s=0.02,
            )  # fmt: skip
            try:
                await control.run(stop)
            finally:
                await orchestrator.close()
                if lease is not None:
                    await store.leases.release(lease)

        return run

    def orchestrator(self) -> KubernetesOrchestrator:
        """A new look at the cluster."""

        async def ask(url: str) -> RuntimeInfo:
            del url
            return INFO

        made = KubernetesOrchestrator(
            api=self.new_api(), site=self.site, model_bytes=lambda _: 1 << 20, ask=ask, chance=lambda: 0.5
        )
        made.start()
        self.orchestrators.append(made)
        return made

    async def workers(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in await self.node.pods()]

    async def kill_one(self) -> None:
        pod = next(pod for pod in await self.node.pods() if "deletionTimestamp" not in pod["metadata"])
        path = f"/api/v1/namespaces/{self.site.namespace}/pods/{pod['metadata']['name']}"
        await self.node.api.delete(path)


@dataclass(slots=True)
class Rig:
    """A place and a store."""

    place: Place
    store: Store
    _runs: list[tuple[asyncio.Event, "asyncio.Task[None]"]] = field(default_factory=list)

    def start(self, owner: str = "a") -> None:
        """Start one control."""
        stop = asyncio.Event()

        async def run() -> None:
            await self.place.control(self.store, owner)(stop)

        self._runs.append((stop, asyncio.create_task(run())))

    async def stop(self) -> None:
        """Stop all controls."""
        for stop, task in self._runs:
            stop.set()
            await task
        self._runs.clear()

    async def ask(self, spec: DeploymentSpec, identity: str = "0190aaaa-0001") -> DeploymentId:
        """A new deployment."""
        made, _ = await self.store.deployments.create(
            spec, identity=DeploymentId(identity), idempotency=None, is_name_chosen=False
        )
        return made.id

    async def scale(self, identity: DeploymentId, replicas: int) -> None:
        """Want another number of replicas."""
        await self.store.deployments.change(identity, lambda spec: replace(spec, replicas=replicas))

    async def until(self, identity: DeploymentId, is_so: Callable[[Deployment], bool]) -> Deployment:
        """The deployment once it is as wanted. Raises TimeoutError with what it is."""
        end_s = time.monotonic() + LIMIT_S
        while time.monotonic() < end_s:
            seen = await self.store.deployments.get(identity)
            if is_so(seen):
                return seen
            await asyncio.sleep(0.02)
        raise TimeoutError(str(seen.observed))

    async def until_gone(self) -> None:
        """No worker and no deployment is left."""
        end_s = time.monotonic() + LIMIT_S
        while await self.store.deployments.list() or await self.place.workers():
            if time.monotonic() > end_s:
                raise TimeoutError(str(await self.place.workers()))
            await asyncio.sleep(0.02)


@asynccontextmanager
async def local_place(folder: Path, model: Path) -> AsyncIterator[LocalPlace]:
    """This machine; whatever was started there is ended, also what a control that is gone had started."""
    others = child_pids()
    try:
        yield LocalPlace(folder, model)
    finally:
        await asyncio.to_thread(end_fleet, folder, limit_s=0.0)
        await asyncio.to_thread(reap, child_pids() - others)


@asynccontextmanager
async def twin_place(folder: Path, *, leave_s: float = 0.1) -> AsyncIterator[tuple[ClusterPlace, KubeServer]]:
    """A cluster in memory."""
    store = KubeStore()
    server = KubeServer(store)
    await server.start()
    controlling = asyncio.create_task(Controllers(store).run())
    kubeconfig = write_kubeconfig(folder / "kubeconfig", server.url)
    try:
        async with _place(lambda: connect(kubeconfig)[0], namespace="tokenforge", leave_s=leave_s) as place:
            yield place, server
    finally:
        controlling.cancel()
        await server.stop()


@asynccontextmanager
async def real_place(kubeconfig: Path) -> AsyncIterator[ClusterPlace]:
    """The cluster of that file: a namespace and a node of its own, removed after."""
    namespace = f"tf-test-{uuid.uuid4().hex[:8]}"
    api, _ = connect(kubeconfig)
    path = f"/api/v1/namespaces/{namespace}"
    await api.apply(path, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    try:
        async with _place(lambda: connect(kubeconfig)[0], namespace=namespace) as place:
            yield place
            await api.delete(f"/api/v1/nodes/{place.node.name}")
    finally:
        await api.delete(path)
        await api.close()


@asynccontextmanager
async def _place(new_api: Callable[[], Api], *, namespace: str, leave_s: float = 0.1) -> AsyncIterator[ClusterPlace]:
    name = f"hollow-{namespace}"
    node = HollowNode(api=new_api(), namespace=namespace, name=name, leave_s=leave_s)
    await node.register()
    living = asyncio.create_task(node.run())
    spec = replace(SPEC, target=Placement.KUBERNETES, node_selector={"hollow": name})
    site = Site(namespace=namespace, instance=namespace, pace=Pace(drain_s=1, leave_s=0))
    try:
        yield ClusterPlace(node=node, site=site, new_api=new_api, spec=spec)
    finally:
        living.cancel()
        await node.api.close()


def write_kubeconfig(file: Path, url: str) -> Path:
    """For whoever connects to a server without certificates."""
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    file.write_text(json.dumps(config))
    return file
