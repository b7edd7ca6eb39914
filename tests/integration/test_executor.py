"""Queued benchmarks: run once each, one after another, with every end told and nothing left behind."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from kept_samples import a_record

from tokenforge.bench.benchmark_file import readable_formats
from tokenforge.cluster.process_mark import mark_of
from tokenforge.control.bench_places import BenchPlaces
from tokenforge.control.bench_process import BenchAsked, BenchCommand, start_bench
from tokenforge.control.executor import Executor
from tokenforge.control.load_keys import LoadKeys
from tokenforge.domain.deployment import Autoscale, Deployment, DeploymentId, DeploymentSpec
from tokenforge.domain.deployment_state import Condition, Observed, Phase
from tokenforge.domain.errors import LeaseLost
from tokenforge.domain.model import parse_model
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.domain.run import RunStatus
from tokenforge.domain.runtime import parse_runtime
from tokenforge.store.archive import Archive
from tokenforge.store.base import Benchmarks, Lease
from tokenforge.store.blobs.folder import FolderBlobs
from tokenforge.store.sql.store import Store, open_store

TWIN = Path(__file__).with_name("bench_twin.py")
WORKLOAD = {"name": "w", "qps": 1, "requests": 2}


@dataclass(slots=True)
class Place:
    store: Store
    executor: Executor
    lease: Lease
    stop: asyncio.Event

    async def queue(self, *, seed: int, runtimes: tuple[str, ...] = ("sim",), keep: bool | None = None) -> str:
        body: dict[str, object] = {
            "model": "synthetic:tiny", "runtimes": list(runtimes), "workloads": [WORKLOAD], "seed": seed,
        }  # fmt: skip
        if keep is not None:
            body["keep"] = keep
        number = len(await self.store.benchmarks.list(limit=99))
        runs = tuple(
            QueuedRun(id=f"r{number}-{runtime}", model="synthetic:tiny", runtime=runtime, workload="w")
            for runtime in runtimes
        )
        queued = QueuedBenchmark(id=f"b{number}", body=body, runs=runs, created_at="")
        return (await self.store.benchmarks.enqueue(queued, idempotency=None)).id

    async def deploy(self, name: str, *, autoscale: Autoscale | None = None) -> None:
        """A deployment of sim that is there already."""
        spec = DeploymentSpec(
            name=name, model=parse_model("synthetic:tiny"), runtime=parse_runtime("sim"), autoscale=autoscale
        )
        await self.store.deployments.create(spec, identity=DeploymentId(name), idempotency=None, is_name_chosen=True)

    async def status(self, identity: str, *wanted: RunStatus) -> QueuedBenchmark:
        """Wait until it is one of these; meanwhile whatever is deployed becomes ready."""
        async with asyncio.timeout(20):
            while (now := await self.store.benchmarks.get(identity)).status not in wanted:
                await self.observe(Observed(generation=1, phase=Phase.READY))
                await asyncio.sleep(0.02)
        return now

    async def observe(self, observed: Observed) -> None:
        for deployment in await self.store.deployments.list():
            if deployment.observed != observed:
                await self.store.observations.observe(deployment.id, observed, lease=self.lease)

    async def cleaned(self) -> tuple[Deployment, ...]:
        """Wait until what was made is being removed, which follows the end."""
        async with asyncio.timeout(10):
            while any(not one.is_deleting for one in await self.store.deployments.list()):  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.02)
        return await self.store.deployments.list()

    async def messages(self, identity: str) -> list[str]:
        return [event.message for event in await self.store.events.after(identity, seq=0, limit=99)]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    store = open_store(tmp_path / "store.db")
    lease = await store.leases.acquire("control", owner="a", ttl_s=600)
    assert lease is not None
    numbers = iter(range(99))
    places = BenchPlaces(
        benchmarks=store.benchmarks, deployments=store.deployments, events=store.events,
        gateway_url=lambda: "http://gateway", formats=readable_formats(), new_id=lambda: f"d{next(numbers)}",
    )  # fmt: skip
    executor = Executor(
        benchmarks=store.benchmarks, deployments=store.deployments, events=store.events, lease=lambda: lease,
        folder=tmp_path / "runs", command=BenchCommand(head=(sys.executable, str(TWIN))),
        places=places,
        archive=Archive(blobs=FolderBlobs(tmp_path / "artifacts"), rows=store.blobs, kept=store.kept),
        load_keys=LoadKeys(keys=store.keys, random=os.urandom, now=lambda: "2026-01-01T00:00:00Z"),
    )  # fmt: skip
    stop = asyncio.Event()
    running = asyncio.create_task(executor.run(stop))
    yield Place(store, executor, lease, stop)
    stop.set()
    await running
    await store.close()


async def test_a_benchmark_deploys_what_is_missing_runs_and_removes_it(place: Place) -> None:
    done = await place.status(await place.queue(seed=0), RunStatus.SUCCEEDED)
    (made,) = await place.cleaned()
    assert done.facts["headline"] == "first line\nsecond"
    assert {one.name for one in (await place.store.kept.find(done.id)).artifacts} == {"record.json", "report.html"}
    assert any(f"http://gateway/deployments/{made.id}" in message for message in await place.messages(done.id))


async def test_what_was_deployed_stays_when_it_is_to_be_kept(place: Place) -> None:
    await place.status(await place.queue(seed=0, keep=True), RunStatus.SUCCEEDED)
    (made,) = await place.store.deployments.list()
    assert not made.is_deleting


async def test_a_deployment_that_is_there_is_used_and_stays(place: Place) -> None:
    await place.deploy("mine")
    done = await place.status(await place.queue(seed=0), RunStatus.SUCCEEDED)
    (there,) = await place.store.deployments.list()
    assert (there.spec.name, there.is_deleting) == ("mine", False)
    assert any("/deployments/mine" in message for message in await place.messages(done.id))


async def test_one_that_scales_by_the_load_is_not_measured_on(place: Place) -> None:
    await place.deploy("mine", autoscale=Autoscale(min=0, max=2, target=4))
    done = await place.status(await place.queue(seed=0), RunStatus.SUCCEEDED)
    assert not any("deployments/mine" in message for message in await place.messages(done.id))
    assert len(await place.store.deployments.list()) == 2


async def test_each_run_gets_its_own_status_of_the_record(place: Place) -> None:
    done = await place.status(await place.queue(seed=1, runtimes=("sim", "vllm")), RunStatus.FAILED)
    assert [(run.status, run.cause) for run in done.runs] == [
        (RunStatus.FAILED, "its engine died"),
        (RunStatus.SUCCEEDED, ""),
    ]


async def test_a_process_that_leaves_no_record_fails_with_its_last_words(place: Place) -> None:
    done = await place.status(await place.queue(seed=2), RunStatus.FAILED)
    assert "no record was written (status 1)" in done.runs[0].cause
    assert "targets" in (await place.messages(done.id))[-1]


async def test_benchmarks_run_in_the_order_they_were_queued(place: Place) -> None:
    first, second = await place.queue(seed=3), await place.queue(seed=0)
    await place.status(first, RunStatus.RUNNING)
    assert (await place.store.benchmarks.get(second)).status is RunStatus.QUEUED
    await place.store.benchmarks.step(first, to=RunStatus.CANCELLED, lease=None)
    await place.status(second, RunStatus.SUCCEEDED)


async def test_a_cancelled_benchmark_leaves_no_process(place: Place) -> None:
    identity = await place.queue(seed=3)
    running = await place.status(identity, RunStatus.RUNNING)
    pid, *_ = json.loads(running.facts["process"])
    await place.store.benchmarks.step(identity, to=RunStatus.CANCELLED, lease=None, cause="enough")
    async with asyncio.timeout(5):
        while psutil.pid_exists(pid):  # noqa: ASYNC110 - a process has no event
            await asyncio.sleep(0.02)
    assert (await place.store.benchmarks.get(identity)).status is RunStatus.CANCELLED


async def test_a_run_that_is_cancelled_while_others_go_on_is_told_to_the_process(
    place: Place,
) -> None:
    identity = await place.queue(seed=3, runtimes=("sim", "vllm"))
    running = await place.status(identity, RunStatus.RUNNING)
    await place.store.benchmarks.step(identity, to=RunStatus.CANCELLED, lease=None, runs=(running.runs[0].id,))
    told = Path(running.facts["folder"]).with_name("withdrawn.json")
    async with asyncio.timeout(5):
        while not told.exists():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.02)
    assert [row["runtime"] for row in json.loads(told.read_text())] == ["sim"]
    assert (await place.store.benchmarks.get(identity)).status is RunStatus.RUNNING
    await place.store.benchmarks.step(identity, to=RunStatus.CANCELLED, lease=None)


async def test_a_runtime_that_does_not_come_up_can_be_cancelled_and_the_others_are_measured(place: Place) -> None:
    identity = await place.queue(seed=0, runtimes=("sim", "vllm"))
    async with asyncio.timeout(10):
        while len(deployed := await place.store.deployments.list()) < 2:  # noqa: ASYNC110 - polled like a user
            await asyncio.sleep(0.02)
    (slow,) = [one for one in deployed if one.spec.runtime.name == "vllm"]
    (run,) = [r for r in (await place.store.benchmarks.get(identity)).runs if r.runtime == "vllm"]
    await place.store.benchmarks.step(identity, to=RunStatus.CANCELLED, lease=None, runs=(run.id,))
    async with asyncio.timeout(10):
        while len((now := await place.store.benchmarks.get(identity)).open_runs):
            for one in deployed:
                phase = Phase.STARTING if one.id == slow.id else Phase.READY
                await place.store.observations.observe(one.id, Observed(generation=1, phase=phase), lease=place.lease)
            await asyncio.sleep(0.02)
    assert {run.runtime: run.status for run in now.runs} == {"sim": "succeeded", "vllm": "cancelled"}
    await place.cleaned()


async def test_the_load_ends_with_control_even_when_control_had_no_time_to_note_it(tmp_path: Path) -> None:
    command = BenchCommand(head=(sys.executable, str(TWIN)), env=dict(os.environ))
    bench = await start_bench(command, folder=tmp_path, asked=BenchAsked(body={"seed": 3}, targets=[], key="k"))
    assert bench.process.stderr is not None
    await bench.process.stderr.readline()
    os.close(bench.lifeline_fd)  # what the kernel does when control is killed
    async with asyncio.timeout(10):
        assert await bench.process.wait() != 0


async def test_when_control_is_asked_to_end_the_benchmark_is_interrupted(place: Place) -> None:
    identity = await place.queue(seed=3)
    await place.status(identity, RunStatus.RUNNING)
    place.stop.set()
    await place.status(identity, RunStatus.INTERRUPTED)


async def test_a_benchmark_whose_deployment_keeps_failing_fails_with_its_cause(place: Place) -> None:
    identity = await place.queue(seed=0)
    bad = Condition(type="Healthy", is_true=False, reason="EngineFailed", message="no kernel", since="")
    async with asyncio.timeout(10):
        while (now := await place.store.benchmarks.get(identity)).status is not RunStatus.FAILED:
            await place.observe(Observed(generation=1, phase=Phase.FAILED, conditions=(bad,), failures=3))
            await asyncio.sleep(0.02)
    assert "no kernel" in now.runs[0].cause


async def begun(place: Place, **facts: str) -> str:
    """A benchmark that a control that is gone had begun to measure."""
    place.stop.set()
    identity = await place.queue(seed=0)
    await place.store.benchmarks.step(identity, to=RunStatus.PREPARING, lease=place.lease, facts=facts)
    await place.store.benchmarks.step(identity, to=RunStatus.RUNNING, lease=place.lease)
    return identity


async def test_what_a_killed_control_left_behind_is_ended_and_taken_up_again(place: Place) -> None:
    left = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", start_new_session=True, stdin=-1)
    known = mark_of(left.pid)
    assert known is not None
    identity = await begun(place, process=json.dumps([known.pid, known.started_s, known.boot]))
    next_control = replace_stop(place)
    await place.status(identity, RunStatus.SUCCEEDED)
    assert await left.wait() == -9
    assert (await place.store.kept.find(identity)).environment == {"again": "control ended while it ran"}
    await next_control


async def test_what_was_measured_before_control_was_killed_is_kept_and_not_measured_again(place: Place) -> None:
    identity = await begun(place)
    folder = place.executor.folder / "other" / identity / "result"
    a_record(folder, identity="before")
    next_control = replace_stop(place)
    await place.status(identity, RunStatus.SUCCEEDED)
    kept = await place.store.kept.find(identity)
    assert (kept.id, len(kept.artifacts)) == ("before", 3)
    await next_control
    assert not folder.exists()


async def test_a_key_that_a_killed_control_left_behind_ends_with_the_next(place: Place) -> None:
    ended = await place.status(await place.queue(seed=0), RunStatus.SUCCEEDED)
    await place.cleaned()
    await place.executor.load_keys.make(ended.id)
    await place.executor.load_keys.make("of a benchmark that is gone")
    next_control = replace_stop(place)
    async with asyncio.timeout(10):
        while await place.store.keys.list():  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.02)
    await next_control


@dataclass
class Lapsing:
    """The port Benchmarks whose first step comes when the lease has just run out."""

    under: Benchmarks
    is_over: bool = False

    async def step(self, identity: str, **how: Any) -> QueuedBenchmark:
        if not self.is_over:
            self.is_over = True
            raise LeaseLost("lease 'control' is not held any more")
        return await self.under.step(identity, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.under, name)


async def test_a_lease_that_lapsed_for_a_moment_while_taking_over_leaves_nothing_half_way(place: Place) -> None:
    identity = await begun(place)
    lapsing = Lapsing(place.store.benchmarks)
    next_control = replace_stop(place, benchmarks=lapsing)
    await place.status(identity, RunStatus.SUCCEEDED)
    assert lapsing.is_over
    await next_control


async def test_what_was_taken_up_too_often_is_closed_with_the_cause(place: Place) -> None:
    identity = await begun(place, taken_up="3")
    next_control = replace_stop(place)
    done = await place.status(identity, RunStatus.INTERRUPTED)
    assert "taken up again 3 times" in done.runs[0].cause
    await next_control


async def test_a_benchmark_whose_process_is_killed_is_taken_up_again(place: Place) -> None:
    done = await place.status(await place.queue(seed=4), RunStatus.SUCCEEDED)
    assert (await place.store.kept.find(done.id)).environment == {"again": "its process was killed (signal 9)"}
    assert done.facts["taken_up"] == "1"


def replace_stop(place: Place, **parts: Any) -> "asyncio.Task[None]":
    """Another executor over the same store, which ends after a moment."""
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(6.0, stop.set)
    other = replace(place.executor, folder=place.executor.folder / "other", **parts)
    return asyncio.create_task(other.run(stop))
