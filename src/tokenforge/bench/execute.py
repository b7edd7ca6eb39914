"""Run a benchmark: offer every trial in its order, keep what was recorded whatever happens, end what was started.

A worker that dies, a full disk or a Ctrl-C ends the benchmark at once; the records until then are kept and the run says
why. Refuses to go on with the other runtimes after one has died: their trials would have had the machine to themselves.
"""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from tokenforge.bench.attendant import Attendant, SideBySide
from tokenforge.bench.checkpoints import Checkpoints, keep_trial
from tokenforge.bench.driver.capacity import Capacity, Staffing, staff
from tokenforge.bench.driver.job import DriveJob, DriveResult, DriverLost, Endpoint
from tokenforge.bench.driver.offer import Offer, journal_paths, offer
from tokenforge.bench.driver.reading import asked_rate, driver_reading
from tokenforge.bench.gpu_watch import FindCards, no_cards, watch_gpus
from tokenforge.bench.idle import IdleWatch
from tokenforge.bench.observe import Observer, TrialStart
from tokenforge.bench.order import Step, trial_order
from tokenforge.bench.plan import plan_trial
from tokenforge.bench.run_log import RunLog
from tokenforge.bench.server_reading import ServerSays, ask_server, reading_between
from tokenforge.bench.targets import Target
from tokenforge.bench.trial_records import read_trial
from tokenforge.bench.withdrawn import NOTHING_WITHDRAWN, Withdrawn
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.benchmark_record import GpuReading, ServerReading
from tokenforge.domain.errors import TokenForgeError, WorkerFailed
from tokenforge.domain.plan import PlannedRequest, PromptForm, TrialPlan
from tokenforge.domain.record import Outcome
from tokenforge.domain.run import RunStatus

_WARMUP_REQUESTS = 8
_WARMUP_CLIENTS = 4
_WARMUP_TOKENS = 32
_WARMUP_TRIAL = 999_999  # not a round number: its place in a dataset of a round size would be that of trial 0
_SETTLE_S = 0.2

MOST_LOST = 3
"""How often a trial is measured again because a driver went away from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offering:
    """How trials are offered: the endpoint, where journals go, and how many driver processes share a plan.

    `processes` None: as many as the plan needs by `capacity`. `withdrawn` are runs that are not wanted any more;
    `checkpoints` trials that were measured before. `find_cards` gives the GPUs to watch meanwhile. `offer` offers the
    trials; warming up is done from here.
    """

    endpoint: Endpoint
    folder: Path
    capacity: Capacity
    processes: int | None = None
    withdrawn: Withdrawn = NOTHING_WITHDRAWN
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    find_cards: FindCards = no_cards
    offer: Offer = offer


def open_logs(targets: Sequence[Target], benchmark: Benchmark) -> list[RunLog]:
    """One log per workload and target, targets within workloads."""
    return [RunLog(target=target, workload=workload) for workload in benchmark.workloads for target in targets]


async def run_trials(
    logs: Sequence[RunLog],
    benchmark: Benchmark,
    *,
    offering: Offering,
    observer: Observer,
    attendant: Attendant | None = None,
) -> BaseException | None:
    """Offer all trials of one model's targets, filling `logs`. Returns what ended it early, None when all was done."""
    attendant = attendant or SideBySide()
    width = len(logs) // len(benchmark.workloads)
    steps = trial_order(
        runtimes=width,
        workloads=len(benchmark.workloads),
        trials=benchmark.trials,
        order=benchmark.order,
        seed=benchmark.seed,
    )
    stage = _Stage(benchmark=benchmark, offering=offering, observer=observer, total=len(steps))
    ended: BaseException | None = None
    for position, step in enumerate(steps):
        row = logs[step.workload * width : (step.workload + 1) * width]
        log = row[step.runtime]
        if offering.withdrawn.holds(log.name):
            log.withdraw()
            continue
        try:
            idle = await attendant.before(row, step, position=position)
            trial = stage.run(log, step, position=position, idle=idle)
            if not await offering.withdrawn.unless(log.name, trial):
                log.withdraw()
        except (TokenForgeError, OSError, asyncio.CancelledError) as error:
            log.fail(error)
            ended = error
            break
    _close(logs, ended, trials=benchmark.trials)
    return ended


def _close(logs: Sequence[RunLog], ended: BaseException | None, *, trials: int) -> None:
    for log in logs:
        if log.status in {RunStatus.FAILED, RunStatus.INTERRUPTED, RunStatus.CANCELLED}:
            continue
        if len(log.trials) == trials:
            log.status = RunStatus.SUCCEEDED
        else:
            log.status = RunStatus.INTERRUPTED
            log.cause = f"not finished: the benchmark ended early ({type(ended).__name__})"


@dataclass(slots=True, kw_only=True)
class _Stage:
    benchmark: Benchmark
    offering: Offering
    observer: Observer
    total: int
    warmed: set[tuple[str, str, int]] = field(default_factory=set)

    async def run(self, log: RunLog, step: Step, *, position: int, idle: Sequence[Target]) -> None:
        """One trial: plan, warm up once a start, offer, record; `idle` are those that have no work meanwhile."""
        plan = await asyncio.to_thread(self._plan, log, step.trial)
        if (known := self.offering.checkpoints.take(log.name, plan)) is not None:
            log.restore(*known)
            return
        staffing = staff(plan, self.offering.capacity, processes=self.offering.processes)
        await self._warm_up(log, staffing)
        log.status = RunStatus.RUNNING
        start = self._start(log, plan, step, position=position)
        self.observer.trial_started(start)
        began, notes = datetime.now(UTC), self.offering.checkpoints.notes()
        folder = self.offering.folder / f"trial-{position:03d}"
        for again in itertools.count(1):
            try:
                measured = await self._measure(log, plan, folder=folder, processes=staffing.processes, idle=idle)
                break
            except (TokenForgeError, OSError, asyncio.CancelledError) as error:
                if isinstance(error, DriverLost) and again <= MOST_LOST:
                    self.observer.phase("benchmark", f"the trial is measured again: {error.message}")
                    notes = (*notes, f"measured again, attempt {again} does not count: {error.message}")
                    folder, began = folder.with_name(f"trial-{position:03d}-again-{again}"), datetime.now(UTC)
                    continue
                result = _kept(plan, folder, cause=str(error) or "interrupted")
                log.keep(plan, result, position=position, began=began, notes=notes)
                raise
        result = measured.result
        record = log.keep(
            plan, result, position=position, began=began, notes=(*notes, *result.notes), server=measured.server,
            idle_cpu_share=measured.idle_cpu_share, gpus=measured.gpus,
        )  # fmt: skip
        await asyncio.to_thread(keep_trial, folder, log.name, record)
        requests, fine = len(result.recorded), result.recorded.count(Outcome.OK, Outcome.HUNG_UP)
        self.observer.trial_finished(start, requests=requests, errors=requests - fine)
        await asyncio.sleep(_SETTLE_S)

    async def _measure(
        self, log: RunLog, plan: TrialPlan, *, folder: Path, processes: int, idle: Sequence[Target]
    ) -> "_Measured":
        """Offer the plan once, and read what server, idle engines and GPUs did meanwhile."""
        before = await self._ask(log.target)
        watch = IdleWatch([target.worker for target in idle])
        with watch_gpus(self.offering.find_cards, url=log.target.url) as gpus:
            result = await self._offer(log, plan, folder=folder, processes=processes, by=self.offering.offer)
        idle_cpu_share = watch.cpu_share()
        server = reading_between(before, await self._ask(log.target))
        return _Measured(result=result, server=server, idle_cpu_share=idle_cpu_share, gpus=gpus.readings())

    async def _ask(self, target: Target) -> ServerSays | None:
        return await asyncio.to_thread(ask_server, target.url, target.headers)

    def _plan(self, log: RunLog, trial: int) -> TrialPlan:
        target = log.target
        return plan_trial(
            log.workload,
            trial=trial,
            seed=self.benchmark.seed,
            tokenizer=target.tokenizer,
            window=target.window,
            form=PromptForm.MESSAGES if self.offering.endpoint is Endpoint.CHAT else target.form,
        )

    def _start(self, log: RunLog, plan: TrialPlan, step: Step, *, position: int) -> TrialStart:
        last = max((request.at_ns for request in plan.requests if request.at_ns is not None), default=None)
        return TrialStart(
            runtime=log.target.runtime,
            workload=log.workload.name,
            trial=step.trial,
            trials=self.benchmark.trials,
            position=position,
            positions=self.total,
            requests=len(plan.requests),
            expected_s=plan.duration_s if last is None else last / 1e9,
            asked_rate=asked_rate(plan),
            slo=log.workload.slo,
        )

    async def _warm_up(self, log: RunLog, staffing: Staffing) -> None:
        """A few requests of this workload's shape, not recorded: first-use costs are not part of a trial."""
        key = (log.target.url, log.workload.name, log.starts)
        if key in self.warmed:
            return
        if log.workload.name not in {workload for _, workload, _ in self.warmed}:
            self.observer.phase("benchmark", f"{log.workload.name}: {staffing.text}")
        self.warmed.add(key)
        self.observer.phase(log.target.runtime, f"warming up for {log.workload.name}")
        plan = await asyncio.to_thread(self._plan, log, _WARMUP_TRIAL)
        folder = self.offering.folder / f"warm-up-{len(self.warmed):03d}"
        await self._offer(log, _warm_up_plan(plan), folder=folder, processes=1, by=offer)

    async def _offer(self, log: RunLog, plan: TrialPlan, *, folder: Path, processes: int, by: Offer) -> DriveResult:
        """Offer the plan while watching the worker; its death ends the offer and is raised with its last words."""
        job = self._job(log, plan, folder=folder, processes=processes)
        load = asyncio.ensure_future(by(job, on_progress=self.observer.progress))
        worker = log.target.worker
        watch = None if worker is None else asyncio.create_task(worker.exited())
        waiting = {load} if watch is None else {load, watch}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if watch is not None and watch.done():
                raise watch.result()
            return await load
        finally:
            await _end(load, watch)

    def _job(self, log: RunLog, plan: TrialPlan, *, folder: Path, processes: int) -> DriveJob:
        target = log.target
        return DriveJob(
            url=target.url,
            model=target.served_name,
            plan=plan,
            endpoint=self.offering.endpoint,
            temperature=log.workload.temperature,
            exact_output=target.exact_output,
            continuous_usage=target.continuous_usage,
            request_timeout_s=log.workload.request_timeout_s,
            drain_s=log.workload.drain_s,
            headers=target.headers,
            folder=folder,
            processes=processes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What one whole trial gave."""

    result: DriveResult
    server: ServerReading | None
    idle_cpu_share: float | None
    gpus: tuple[GpuReading, ...]


async def _end(*tasks: "asyncio.Task[WorkerFailed] | asyncio.Future[DriveResult] | None") -> None:
    for task in tasks:
        if task is not None and not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _warm_up_plan(plan: TrialPlan) -> TrialPlan:
    requests: list[PlannedRequest] = [
        replace(
            request,
            at_ns=None,
            gen_tokens=min(request.gen_tokens, _WARMUP_TOKENS),
            after=None,
            think_ns=0,
            cancel_after_ns=None,
        )
        for request in plan.requests[:_WARMUP_REQUESTS]
    ]
    return replace(plan, requests=tuple(requests), concurrency=_WARMUP_CLIENTS, duration_s=None)


def _kept(plan: TrialPlan, folder: Path, *, cause: str) -> DriveResult:
    """What the journals of a trial that ended early still say."""
    recorded = read_trial(journal_paths(folder, plan.trial), trial=plan.trial, until_damage=True)
    reading = driver_reading(plan=plan, recorded=recorded, beats=(), processes=1)
    return DriveResult(recorded=recorded, reading=replace(reading, stopped_early=cause), origin_ns=0)
