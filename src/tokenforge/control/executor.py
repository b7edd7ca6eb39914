"""Runs queued benchmarks, one after another: deploys what is missing, offers the load, keeps the results, cleans up.

What it does is in the store before it is done, so after a crash the next control knows what was begun: that benchmark
becomes `interrupted`, its process is ended, and deployments made for it alone are removed. None is run twice unasked.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tokenforge.control.bench_process import BenchCommand, kill_marked, start_bench
from tokenforge.control.load_keys import LoadKeys
from tokenforge.control.remainder import remainder, withdrawn
from tokenforge.domain.benchmark import Benchmark, Order
from tokenforge.domain.deployment import Deployment, DeploymentId, DeploymentSpec
from tokenforge.domain.errors import LeaseLost, NotFound, TokenForgeError, WorkerFailed
from tokenforge.domain.model import ModelRef
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.domain.run import RunStatus
from tokenforge.domain.runtime import RuntimeRef
from tokenforge.protocol.benchmark import parse_benchmark
from tokenforge.protocol.benchmark_workload_rules import Formats
from tokenforge.protocol.deploy import default_name
from tokenforge.store.base import Benchmarks, Deployments, Events, Lease

_log = logging.getLogger(__name__)

POLL_S = 0.3
MOST_FAILURES = 3
"""Failed starts in a row of a deployment after which its benchmark fails."""

READY_LIMIT_S = 3600.0
_BEGUN = (RunStatus.PREPARING, RunStatus.RUNNING)


@dataclass(slots=True, kw_only=True)
class Executor:
    """`lease` is control's own (None: another leads). `gateway_url` is where load goes, `formats` what can be read."""

    benchmarks: Benchmarks
    deployments: Deployments
    events: Events
    lease: Callable[[], Lease | None]
    folder: Path
    command: BenchCommand
    gateway_url: Callable[[], str]
    formats: Formats
    new_id: Callable[[], str]
    load_keys: LoadKeys
    _taken_over: int = field(default=0, init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; what runs then is interrupted."""
        while not stop.is_set():
            try:
                lease = self.lease()
                if lease is not None:
                    await self._turn(lease, stop)
            except LeaseLost:
                _log.warning("lease lost; a benchmark that ran here is left to the next control")
            except TokenForgeError as error:
                _log.error("the queue of benchmarks: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timeout=POLL_S)

    async def _turn(self, lease: Lease, stop: asyncio.Event) -> None:
        queue = [b for b in reversed(await self.benchmarks.list(limit=200)) if _is_open(b)]
        if self._taken_over != lease.epoch:
            self._taken_over = lease.epoch
            for benchmark in queue:
                if benchmark.status in _BEGUN:
                    await self._close_left_behind(benchmark, lease)
            return
        for benchmark in queue:
            if benchmark.status is RunStatus.QUEUED:
                await self._execute(benchmark, lease, stop)
                return

    async def _close_left_behind(self, benchmark: QueuedBenchmark, lease: Lease) -> None:
        kill_marked(benchmark.facts.get("process", ""))
        cause = "control ended while it ran; send it again to measure it"
        await self.benchmarks.step(benchmark.id, to=RunStatus.INTERRUPTED, lease=lease, cause=cause)
        await self._clean(benchmark)
        await self.events.append(benchmark.id, reason="Interrupted", message=cause)

    async def _execute(self, queued: QueuedBenchmark, lease: Lease, stop: asyncio.Event) -> None:
        """One benchmark from its first step to its last; whatever fails is its cause."""
        folder = self.folder / queued.id
        try:
            now = await self._step(queued, RunStatus.PREPARING, lease, facts={"folder": str(folder / "result")})
            if now.status is not RunStatus.PREPARING:
                return  # cancelled in this very moment
            while (targets := await self._deployed(now, lease)) is None:
                now = await self.benchmarks.get(queued.id)
                if not now.open_runs:
                    return
            await self._measure(now, folder, targets, stop)
        except LeaseLost:
            raise
        except (TokenForgeError, OSError) as error:
            await self._fail(queued, error)
        finally:
            await self._clean(await self.benchmarks.get(queued.id))

    async def _deployed(self, queued: QueuedBenchmark, lease: Lease) -> list[Mapping[str, str]] | None:
        """Where the load goes, once all is ready; None when one of its runs was cancelled meanwhile."""
        benchmark = parse_benchmark(remainder(queued), formats=self.formats)
        if benchmark.order is Order.SEQUENTIAL:
            return []  # one engine at a time: the process starts them itself
        places: dict[tuple[str, str], DeploymentId] = {}
        made: list[str] = json.loads(queued.facts.get("made", "[]"))
        for model in benchmark.models:
            for runtime in benchmark.runtimes:
                deployment, is_new = await self._ensure(queued, benchmark, model, runtime)
                places[str(model), str(runtime)] = deployment.id
                made += [deployment.id] if is_new else []
                await self._step(queued, RunStatus.PREPARING, lease, facts={"made": json.dumps(made)})
        if not await self._until_ready(queued, tuple(places.values())):
            return None
        base = self.gateway_url()
        return [
            {"model": model, "runtime": runtime, "url": f"{base}/deployments/{identity}"}
            for (model, runtime), identity in places.items()
        ]

    async def _ensure(
        self, queued: QueuedBenchmark, benchmark: Benchmark, model: ModelRef, runtime: RuntimeRef
    ) -> tuple[Deployment, bool]:
        """A deployment that is as the benchmark wants it: one that is there, or a new one."""
        spec = DeploymentSpec(
            name=f"bench-{default_name(model, runtime)}",
            model=model,
            runtime=runtime,
            quant=benchmark.quant,
            resources=benchmark.resources,
            max_model_len=benchmark.max_model_len,
            engine_args=benchmark.engine_args.get(runtime.name, {}),
        )
        for deployment in await self.deployments.list():
            there = deployment.spec
            wanted = replace(spec, name=there.name, replicas=there.replicas, autoscale=there.autoscale)
            if there.template == wanted.template and _is_steady(there) and not deployment.is_deleting:
                return deployment, False
        await self._tell(queued, f"deploying {model} on {runtime}")
        return await self.deployments.create(
            spec, identity=DeploymentId(self.new_id()), idempotency=None, is_name_chosen=False
        )

    async def _until_ready(self, queued: QueuedBenchmark, wanted: tuple[DeploymentId, ...]) -> bool:
        """Wait; False when a run was cancelled. Raises WorkerFailed with the cause when one keeps failing."""
        async with asyncio.timeout(READY_LIMIT_S):
            while True:
                there = [await self.deployments.get(identity) for identity in wanted]
                if all(deployment.is_ready for deployment in there):
                    return True
                for deployment in there:
                    healthy = deployment.observed.condition("Healthy")
                    if deployment.observed.failures >= MOST_FAILURES and healthy is not None and not healthy.is_true:
                        message = f"deployment {deployment.spec.name} does not come up: {healthy.message}"
                        raise WorkerFailed(message, last_words=healthy.last_words)
                if withdrawn(await self.benchmarks.get(queued.id)) != withdrawn(queued):
                    return False
                await asyncio.sleep(POLL_S)

    async def _measure(
        self, queued: QueuedBenchmark, folder: Path, targets: list[Mapping[str, str]], stop: asyncio.Event
    ) -> None:
        """Offer the load in a process of its own; then every run has its end."""
        key = await self.load_keys.make(queued.id)
        bench = await start_bench(self.command, folder=folder, body=remainder(queued), targets=targets, key=key)
        await self._step(queued, RunStatus.RUNNING, self._held(), facts={"process": bench.mark})
        work = asyncio.create_task(bench.follow(lambda line: self._tell(queued, line)))
        try:
            while not work.done() and not stop.is_set():
                now = await self.benchmarks.get(queued.id)
                if not now.open_runs:
                    break
                bench.withdraw(withdrawn(now))
                await asyncio.wait({work}, timeout=POLL_S)
            is_cut = not work.done()
            if is_cut:
                await bench.interrupt()
            code = await work
        finally:
            if bench.process.returncode is None:
                await bench.interrupt()
        if is_cut and stop.is_set():
            await self._step(queued, RunStatus.INTERRUPTED, self._held(), cause="control was asked to end")
            return
        await self._finish(queued, folder / "result" / "record.json", code=code, lines=tuple(bench.last_lines))

    async def _finish(self, queued: QueuedBenchmark, record: Path, *, code: int, lines: tuple[str, ...]) -> None:
        """Give each run the status of its record; without a record all have failed."""
        document = await asyncio.to_thread(_read, record)
        if document is None:
            error = WorkerFailed(f"no record was written (status {code})", last_words=lines or ("it wrote nothing",))
            await self._fail(queued, error)
            return
        headline = _headline(document)
        for run in queued.runs:
            status, cause = _status_in(document, run)
            await self._step(queued, status, self._held(), cause=cause, facts={"headline": headline}, runs=(run.id,))
        now = await self.benchmarks.get(queued.id)
        await self.events.append(queued.id, reason=now.status.capitalize(), message=headline or f"status {code}")

    async def _fail(self, queued: QueuedBenchmark, error: Exception) -> None:
        await self._step(queued, RunStatus.FAILED, self._held(), cause=str(error))
        words = error.last_words if isinstance(error, WorkerFailed) else ()
        message = "\n".join((str(error), *words))
        await self.events.append(queued.id, reason="Failed", message=message)
        _log.error("benchmark %s failed: %s", queued.id, message)

    async def _clean(self, benchmark: QueuedBenchmark) -> None:
        """End its key; remove deployments that were made for it, unless it was to keep them."""
        await self.load_keys.end(benchmark.id)
        if benchmark.body.get("keep", False) is True:
            return
        for identity in json.loads(benchmark.facts.get("made", "[]")):
            with contextlib.suppress(NotFound):
                await self.deployments.delete(DeploymentId(identity))

    def _step(
        self, queued: QueuedBenchmark, to: RunStatus, lease: Lease, *, cause: str = "",
        facts: Mapping[str, str] | None = None, runs: tuple[str, ...] | None = None,
    ) -> Awaitable[QueuedBenchmark]:  # fmt: skip
        return self.benchmarks.step(queued.id, to=to, lease=lease, cause=cause, facts=facts, runs=runs)

    def _held(self) -> Lease:
        lease = self.lease()
        if lease is None:
            raise LeaseLost("the lease of control is not held any more")
        return lease

    async def _tell(self, queued: QueuedBenchmark, line: str) -> None:
        await self.events.append(queued.id, reason="Progress", message=line)


def _is_steady(there: DeploymentSpec) -> bool:
    """Whether its replicas stay as they are while a benchmark is measured: none may come or go by the load itself."""
    return there.replicas > 0 and there.autoscale is None


def _is_open(benchmark: QueuedBenchmark) -> bool:
    return benchmark.status in (RunStatus.QUEUED, *_BEGUN)


def _headline(document: Mapping[str, object]) -> str:
    """The first words of the report, a line each."""
    summary = document.get("summary")
    lines = summary.get("headline", "") if isinstance(summary, Mapping) else ""
    return "\n".join(map(str, lines)) if isinstance(lines, list) else str(lines)


def _read(record: Path) -> dict[str, object] | None:
    try:
        document = json.loads(record.read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _status_in(document: Mapping[str, object], run: QueuedRun) -> tuple[RunStatus, str]:
    """What the record says of one run; a run that is not in it has failed."""
    recorded = document.get("runs")
    for row in recorded if isinstance(recorded, list) else []:
        runtimes = (row["runtime"], row["runtime"].partition("@")[0])
        if (row["model"], row["workload"]) == (run.model, run.workload) and run.runtime in runtimes:
            return RunStatus(row["status"]), str(row["cause"] or "")
    return RunStatus.FAILED, "it is not in the record: the benchmark ended before it"
