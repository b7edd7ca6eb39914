"""What each process of a platform holds: memory, descriptors, tasks; and what an engine still computes."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from survival.running import Running
from tokenforge.cluster.fleet_files import FleetFiles

GROWTH_LIMIT_BYTES = 16 << 20
GROWTH_LIMIT_SHARE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One process. `tasks` of its event loop, None where it does not tell. `clients`: connections to its port."""

    kind: str
    name: str
    rss_bytes: int
    descriptors: int
    tasks: int | None
    clients: int = 0


async def holdings(running: Running) -> list[Holding]:
    """Of gateway, control, every worker and `up`."""
    found = []
    for one in await asyncio.to_thread(running.processes):
        if one.is_zombie:
            continue
        clients = _clients(one.pid, running.url) if one.kind == "gateway" else 0  # before we are one ourselves
        url = {"gateway": running.url, "worker": worker_url(running, one.name)}.get(one.kind)
        tasks = None if url is None else (await metrics_of(running, url)).get("tokenforge_event_loop_tasks")
        found.append(
            Holding(
                kind=one.kind, name=one.name, rss_bytes=one.rss_bytes, descriptors=one.descriptors,
                tasks=None if tasks is None else int(tasks), clients=clients,
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: (one.kind, one.name))


def _clients(pid: int, url: str) -> int:
    """Connections that were made to its port and that it has not closed."""
    port = urlsplit(url).port
    sockets = psutil.Process(pid).net_connections("tcp")
    return sum(one.laddr.port == port and one.status != psutil.CONN_LISTEN for one in sockets)


async def open_requests(running: Running) -> float:
    """What all engines run and hold waiting, by their own metrics."""
    total = 0.0
    for name in running.workers():
        url = worker_url(running, name)
        if url is None:
            raise LookupError(f"worker {name} says nothing of itself")
        metrics = await metrics_of(running, url)
        total += metrics["tokenforge_requests_running"] + metrics["tokenforge_requests_waiting"]
    return total


def worker_url(running: Running, name: str) -> str | None:
    """Where a worker listens, as it wrote down."""
    state = FleetFiles(running.home / "platform" / "workers").state(name)
    return None if state is None else f"http://127.0.0.1:{state.said.port}"


async def metrics_of(running: Running, url: str) -> dict[str, float]:
    """The unlabelled values of a page of metrics."""
    async with running.session.get(f"{url}/metrics", timeout=aiohttp.ClientTimeout(total=5.0)) as answer:
        text = await answer.text()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name: sample.value for sample in samples if not sample.labels}


def faults_of(
    before: Sequence[Holding], warm: Sequence[Holding], after: Sequence[Holding], *, with_descriptors: bool = True
) -> list[str]:
    """What grew: descriptors and tasks beyond those of the start, memory beyond that after the warm-up.

    Descriptors go back only once idle connections between gateway and workers are closed.
    """
    first, mid = ({(one.kind, one.name): one for one in seen} for seen in (before, warm))
    faults = []
    for one in after:
        key = (one.kind, one.name)
        if key not in first or key not in mid:
            faults.append(f"{one.kind} {one.name} is another than at the start")
            continue
        if one.clients:
            faults.append(f"{one.kind} {one.name}: {one.clients} connections of clients that are gone")
        if with_descriptors and one.descriptors > first[key].descriptors:
            faults.append(f"{one.kind} {one.name}: {first[key].descriptors} -> {one.descriptors} descriptors")
        tasks = first[key].tasks
        if tasks is not None and (one.tasks is None or one.tasks > tasks):
            faults.append(f"{one.kind} {one.name}: {tasks} -> {one.tasks} tasks")
        limit = max(GROWTH_LIMIT_BYTES, GROWTH_LIMIT_SHARE * mid[key].rss_bytes)
        if one.rss_bytes - mid[key].rss_bytes > limit:
            mib = [mid[key].rss_bytes / 2**20, one.rss_bytes / 2**20]
            faults.append(f"{one.kind} {one.name}: {mib[0]:.1f} -> {mib[1]:.1f} MiB")
    return faults
