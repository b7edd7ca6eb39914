"""Where a benchmark's load goes: waiting has limits and ends with control; what is made for it is noted first."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tokenforge.bench.benchmark_file import readable_formats
from tokenforge.control.bench_places import BenchPlaces
from tokenforge.domain.deployment_state import Condition
from tokenforge.domain.errors import LeaseLost, NotEnoughGpus, RunInterrupted, StoreFailed, WorkerFailed
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.store.base import Deployments, Lease
from tokenforge.store.sql.store import Store, open_store

BODY = {"model": "synthetic:tiny", "runtimes": ["sim"], "workloads": [{"name": "w", "qps": 1, "requests": 2}]}
QUEUED = QueuedBenchmark(
    id="b", body=BODY, created_at="", runs=(QueuedRun(id="r", model="synthetic:tiny", runtime="sim", workload="w"),)
)


@dataclass(slots=True)
class Place:
    """A store, the lease, and a benchmark that waits for a deployment which nobody brings up."""

    store: Store
    lease: Lease
    places: BenchPlaces
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def held(self) -> Lease:
        """The lease."""
        return self.lease

    async def made(self) -> list[str]:
        """Ids that are noted to be removed with the benchmark."""
        noted: list[str] = json.loads((await self.store.benchmarks.get("b")).facts["made"])
        return noted


@dataclass(slots=True)
class CutShort:
    """Deployments that are made, and then the disk is full before anybody hears of it."""

    real: Deployments

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def create(self, *args: Any, **kwargs: Any) -> Any:
        """Made, and not told."""
        await self.real.create(*args, **kwargs)
        raise StoreFailed("the disk is full")


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    store = open_store(tmp_path / "store.db")
    lease = await store.leases.acquire("control", owner="a", ttl_s=600)
    assert lease is not None
    await store.benchmarks.enqueue(QUEUED, idempotency=None)
    numbers = iter(range(99))
    places = BenchPlaces(
        benchmarks=store.benchmarks, deployments=store.deployments, events=store.events,
        gateway_url=lambda: "http://gateway", formats=readable_formats(), new_id=lambda: f"d{next(numbers)}",
    )  # fmt: skip
    yield Place(store, lease, places)
    await store.close()


async def test_engines_that_find_no_gpu_are_told_with_who_holds_them_and_what_to_write(place: Place) -> None:
    waiting = asyncio.create_task(
        replace(place.places, gpu_limit_s=0.0).of(QUEUED, held=place.held, stop=place.stop)
    )  # fmt: skip
    async with asyncio.timeout(10):
        while not (made := await place.store.deployments.list()):  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.01)
    healthy = Condition(type="Healthy", is_true=False, reason="InsufficientGPU", message="0 is held by a", since="")
    observed = replace(made[0].observed, generation=1, conditions=(healthy,))
    await place.store.observations.observe(made[0].id, observed, lease=place.lease)
    with pytest.raises(NotEnoughGpus, match=r"has no GPU: 0 is held by a.*order: sequential"):
        async with asyncio.timeout(10):
            await waiting


async def test_a_deployment_that_does_not_come_in_time_is_told(place: Place) -> None:
    places = replace(place.places, ready_limit_s=-1.0)
    with pytest.raises(WorkerFailed, match="bench-tiny-sim was not ready after -1 s: it is pending"):
        await places.of(QUEUED, held=place.held, stop=place.stop)


async def test_when_control_is_asked_to_end_nothing_waits_on(place: Place) -> None:
    place.stop.set()
    with pytest.raises(RunInterrupted, match="control was asked to end"):
        await place.places.of(QUEUED, held=place.held, stop=place.stop)


async def test_who_lost_the_lease_does_not_wait_on(place: Place) -> None:
    asked = iter([place.lease])

    def held() -> Lease:
        for lease in asked:
            return lease
        raise LeaseLost("another leads")

    with pytest.raises(LeaseLost):
        await place.places.of(QUEUED, held=held, stop=place.stop)


async def test_a_deployment_whose_making_was_cut_short_is_noted_to_be_removed(place: Place) -> None:
    places = replace(place.places, deployments=CutShort(place.store.deployments))
    with pytest.raises(StoreFailed):
        await places.of(QUEUED, held=place.held, stop=place.stop)
    (made,) = await place.store.deployments.list()
    assert await place.made() == [made.id]
