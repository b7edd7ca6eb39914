"""Many deployments on an API server twin: CPU of control until all are ready, and CPU while nothing happens.

    python benchmarks/cluster/thousand.py [--counts 100,300,1000] [--quiet-s 30]

The twin and its controllers run in a process of their own, so the CPU told is control's alone: store, reconciliation,
server-side apply, its watches. Pods are made ready by the twin at once; no worker runs.
"""

import argparse
import asyncio
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("unit", "contract", "integration")]

from fleet_twin import INFO  # noqa: E402 - the twins live with the tests
from kube_controllers import Controllers  # noqa: E402
from kube_server import KubeServer  # noqa: E402
from kube_store import KubeStore  # noqa: E402
from manifest_samples import SPEC  # noqa: E402
from placement_rigs import write_kubeconfig  # noqa: E402

from tokenforge.cluster.kubernetes.api import connect  # noqa: E402
from tokenforge.cluster.kubernetes.orchestrator import KubernetesOrchestrator  # noqa: E402
from tokenforge.cluster.manifests.site import Site  # noqa: E402
from tokenforge.control.clusters import ClusterControl  # noqa: E402
from tokenforge.domain.deployment import DeploymentId  # noqa: E402
from tokenforge.domain.generation import RuntimeInfo  # noqa: E402
from tokenforge.store.sql.store import Store, open_store  # noqa: E402

LIMIT_S = 900.0
BOOKMARK_S = 60.0
"""As often as a real API server sends a bookmark to a quiet watch; the twin of the tests does it every second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of `count` deployments: wall and CPU seconds until all are ready; the share of a CPU while nothing happens."""

    count: int
    until_ready_s: float
    cpu_s: float
    quiet_share: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="100,300,1000")
    parser.add_argument("--quiet-s", type=float, default=30.0)
    asked = parser.parse_args()
    print(
        f"{'deployments':>12}{'ready after s':>15}{'CPU s':>8}{'CPU ms each':>13}{'quiet: % of a CPU':>19}", flush=True
    )
    for count in asked.counts.split(","):
        cost = measure(int(count), quiet_s=asked.quiet_s)
        each, quiet = 1000 * cost.cpu_s / cost.count, 100 * cost.quiet_share
        row = f"{cost.count:>12}{cost.until_ready_s:>15.1f}{cost.cpu_s:>8.1f}{each:>13.1f}{quiet:>19.2f}"
        print(row, flush=True)


def measure(count: int, *, quiet_s: float) -> Cost:
    """One number of deployments, with a twin and a store of their own."""
    ours, theirs = multiprocessing.Pipe()
    twin = multiprocessing.Process(target=serve, args=(theirs,), daemon=True)
    twin.start()
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = write_kubeconfig(Path(folder) / "kubeconfig", str(ours.recv()))
        try:
            return asyncio.run(control(count, kubeconfig, Path(folder) / "store.db", quiet_s=quiet_s))
        finally:
            twin.kill()
            twin.join()


async def control(count: int, kubeconfig: Path, place: Path, *, quiet_s: float) -> Cost:
    """Control over so many deployments, from none to all ready, and then a while of nothing."""
    store = open_store(place)
    for number in range(count):
        await store.deployments.create(
            SPEC, identity=DeploymentId(f"0190-{number:08d}"), idempotency=None, is_name_chosen=False
        )
    lease = await store.leases.acquire("control", owner="benchmark", ttl_s=10 * LIMIT_S)
    orchestrator = KubernetesOrchestrator(
        api=connect(kubeconfig)[0], site=Site(), model_bytes=lambda _: 1 << 30, ask=ask, chance=lambda: 0.5
    )
    orchestrator.start()
    stop = asyncio.Event()
    working = ClusterControl(
        deployments=store.deployments, observations=store.observations, events=store.events, lease=lambda: lease,
        orchestrator=orchestrator,
    )  # fmt: skip
    began_s, cpu_s = time.monotonic(), used_s()
    running = asyncio.create_task(working.run(stop))
    await until_ready(store, count)
    until_ready_s, until_ready_cpu_s = time.monotonic() - began_s, used_s() - cpu_s
    await asyncio.sleep(5.0)
    cpu_s, began_s = used_s(), time.monotonic()
    await asyncio.sleep(quiet_s)
    share = (used_s() - cpu_s) / (time.monotonic() - began_s)
    stop.set()
    await running
    await orchestrator.close()
    await store.close()
    return Cost(count=count, until_ready_s=until_ready_s, cpu_s=until_ready_cpu_s, quiet_share=share)


async def ask(url: str) -> RuntimeInfo:
    """What every worker says."""
    del url
    return INFO


async def until_ready(store: Store, count: int) -> None:
    """Looks once a second, so that looking costs little. Raises TimeoutError."""
    for _ in range(int(LIMIT_S)):
        if sum(d.is_ready for d in await store.deployments.list()) == count:
            return
        await asyncio.sleep(1.0)
    raise TimeoutError(f"{count} deployments were not ready after {LIMIT_S:g} s")


def used_s() -> float:
    """CPU seconds of this process so far."""
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def serve(pipe: Connection) -> None:
    """The twin's process: it tells its address, and makes every pod ready."""

    async def live() -> None:
        store = KubeStore()
        server = KubeServer(store, bookmark_s=BOOKMARK_S)
        await server.start()
        pipe.send(server.url)
        await asyncio.gather(Controllers(store, pause_s=0.2).run(), make_ready(store))

    asyncio.run(live())


async def make_ready(store: KubeStore) -> None:
    """What a kubelet would say, at once."""
    store.create(("v1/nodes", "", "n"), {"status": {"allocatable": ROOM}}, manager="benchmark")
    while True:
        for key, pod in store.list("v1/pods", None):
            if pod["spec"].get("nodeName") and not pod["status"].get("podIP"):
                store.patch_status(key, {"podIP": "127.0.0.1", "phase": "Running", "conditions": READY})
        await asyncio.sleep(0.2)


ROOM = {"cpu": "1000000", "memory": "1000000Gi", "ephemeral-storage": "1000000Gi"}
READY: Sequence[object] = [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}]

if __name__ == "__main__":
    main()
