"""A trial whose driver was lost from outside: measured again whole and noted, or in the end broken and said so."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from driver_truth import truth_server

from tokenforge.bench.driver.capacity import measure_capacity
from tokenforge.bench.driver.job import DriveJob, DriveResult, DriverFailed, DriverLost, Endpoint, Progress
from tokenforge.bench.driver.offer import offer
from tokenforge.bench.execute import MOST_LOST, Offering, open_logs, run_trials
from tokenforge.bench.observe import Silence
from tokenforge.bench.run_log import RunLog
from tokenforge.bench.targets import Target
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.model import parse_model
from tokenforge.domain.plan import PromptForm
from tokenforge.domain.run import RunStatus
from tokenforge.domain.runtime import parse_runtime
from tokenforge.domain.workload import Fixed, Workload

WORKLOAD = Workload(name="w", qps=100, requests=20, prompt_len=Fixed(value=8), gen_tokens=Fixed(value=4), warmup_s=0)
BENCHMARK = Benchmark(
    models=(parse_model("synthetic:tiny"),), runtimes=(parse_runtime("sim"),), workloads=(WORKLOAD,), trials=2
)


@dataclass(slots=True)
class Losing:
    """Offers from here, but the first so many times a driver is lost when half of the load is over."""

    times: int
    kind: type[DriverFailed] = DriverLost
    folders: list[Path] = field(default_factory=list)

    async def __call__(self, job: DriveJob, *, on_progress: Callable[[Progress], None] | None = None) -> DriveResult:
        self.folders.append(job.folder)
        if len(self.folders) > self.times:
            return await offer(job, on_progress=on_progress)
        half = replace(job, plan=replace(job.plan, requests=job.plan.requests[: len(job.plan.requests) // 2]))
        await offer(half)
        raise self.kind("driver pod p-1 was deleted")


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    with truth_server(tmp_path, "--ttft-us", "1000", "--itl-us", "1000") as server:
        yield Target(
            model="synthetic:tiny", served_name="m", runtime="sim", url=server.url, window=None, tokenizer=None,
            form=PromptForm.TEXT, exact_output=True, continuous_usage=False, engine=None, headers={}, packages={},
        )  # fmt: skip


async def measured(target: Target, folder: Path, losing: Losing) -> tuple[RunLog, BaseException | None]:
    offering = Offering(
        endpoint=Endpoint.COMPLETIONS, folder=folder / "journals", capacity=measure_capacity(), offer=losing
    )  # fmt: skip
    (log,) = logs = open_logs([target], BENCHMARK)
    return log, await run_trials(logs, BENCHMARK, offering=offering, observer=Silence())


async def test_it_is_measured_again_whole_and_noted(target: Target, tmp_path: Path) -> None:
    losing = Losing(times=2)
    log, ended = await measured(target, tmp_path, losing)
    assert (ended, log.status) == (None, RunStatus.SUCCEEDED)
    assert [len(recorded) for recorded in log.recorded] == [20, 20]
    assert [record.index for record in log.recorded[0].records()] == list(range(20))
    first, second = (trial.notes for trial in log.trials)
    assert [note for note in first if "does not count" in note] == [
        f"measured again, attempt {number} does not count: driver pod p-1 was deleted" for number in (1, 2)
    ]
    assert not any("again" in note for note in second)
    assert len(set(losing.folders)) == 4


async def test_lost_too_often_it_ends_the_run_broken_with_what_was_recorded(target: Target, tmp_path: Path) -> None:
    losing = Losing(times=100)
    log, ended = await measured(target, tmp_path, losing)
    assert isinstance(ended, DriverLost)
    assert (log.status, log.cause) == (RunStatus.FAILED, "driver pod p-1 was deleted")
    assert len(losing.folders) == MOST_LOST + 1
    (trial,) = log.trials
    assert trial.driver.stopped_early == "driver pod p-1 was deleted"
    assert (trial.planned_requests, len(log.recorded[0])) == (20, 10)


async def test_a_driver_that_fails_by_itself_is_not_tried_again(target: Target, tmp_path: Path) -> None:
    losing = Losing(times=100, kind=DriverFailed)
    _, ended = await measured(target, tmp_path, losing)
    assert isinstance(ended, DriverFailed)
    assert len(losing.folders) == 1
