"""Runs queued benchmarks, one after another: deploys what is missing, offers the load, keeps the results, cleans up.

What it does is in the store before it is done, so after a crash the next control knows what was begun. A benchmark
that was measured to its end is kept then; one that was not is taken up again where its last whole trial ended, or
closed with the cause once that was tried too often. While it measures, a store that does not answer is waited for.
"""

import asyncio
import contextlib
import json
import logging
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tokenforge.control.bench_places import BenchPlaces
from tokenforge.control.bench_process import BenchAsked, BenchCommand, BenchProcess, kill_marked, start_bench
from tokenforge.control.load_keys import LoadKeys
from tokenforge.control.patience import patiently
from tokenforge.control.remainder import remainder, withdrawn
from tokenforge.control.results import ending_of, read_result
from tokenforge.domain.deployment import DeploymentId
from tokenforge.domain.errors import (
    LeaseLost,
    NotFound,
    RunInterrupted,
    StoreFailed,
    StoreUnavailable,
    TokenForgeError,
    WorkerFailed,
)
from tokenforge.domain.queued import QueuedBenchmark
from tokenforge.domain.run import RunStatus
from tokenforge.store.archive import Archive
from tokenforge.store.base import Benchmarks, Deployments, Events, Lease
from tokenforge.store.kept import kept_of

_log = logging.getLogger(__name__)

POLL_S = 0.3
MOST_TAKEN_UP = 3
"""How often a benchmark whose process or control was killed is taken up again."""

_MOST_QUEUED = 10_000
_BEGUN = (RunStatus.PREPARING, RunStatus.RUNNING)


@dataclass(slots=True, kw_only=True)
class Executor:
    """`lease` is control's own (None: another leads). Benchmarks are written in `folder` while they are measured."""

    benchmarks: Benchmarks
    deployments: Deployments
    events: Events
    lease: Callable[[], Lease | None]
    folder: Path
    command: BenchCommand
    places: BenchPlaces
    load_keys: LoadKeys
    archive: Archive
    _taken_over: int = field(default=0, init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; what runs then is interrupted."""
        while not stop.is_set():
            try:
                lease = self.lease()
                if lease is not None:
                    await self._turn(lease, stop)
            except LeaseLost:
                self._taken_over = 0  # it may be held again in the same epoch, with what was left half way
                _log.warning("lease lost; a benchmark that ran here is left to the next control")
            except TokenForgeError as error:
                self._taken_over = 0  # what was begun is looked at again
                _log.error("the queue of benchmarks: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timeout=POLL_S)

    async def _turn(self, lease: Lease, stop: asyncio.Event) -> None:
        queue = list(reversed(await self.benchmarks.list(limit=_MOST_QUEUED, only_open=True)))
        if self._taken_over != lease.epoch:
            self._taken_over = lease.epoch
            for benchmark in queue:
                if benchmark.status in _BEGUN:
                    await self._take_over(benchmark, lease)
            await self._clean_up_after_others()
            return
        for benchmark in queue:
            if benchmark.status is RunStatus.QUEUED:
                await self._execute(benchmark, lease, stop)
                return

    async def _take_over(self, benchmark: QueuedBenchmark, lease: Lease) -> None:
        """What a control that is gone had begun: keep it if it was measured, else go on with it."""
        kill_marked(benchmark.facts.get("process", ""))
        document = await asyncio.to_thread(read_result, self._results(benchmark))
        if document is not None:
            try:
                await self._keep(benchmark, document, lease)
            except StoreFailed as error:
                await self._fail(benchmark, error, lease)
            await self._clean(benchmark)
            return
        await self._again(benchmark, lease, cause="control ended while it ran")

    async def _clean_up_after_others(self) -> None:
        """A control that was killed between the end of a benchmark and its cleaning up left a key, and deployments."""
        for identity in await self.load_keys.left():
            try:
                benchmark = await self.benchmarks.get(identity)
            except NotFound:
                await self.load_keys.end(identity)
                continue
            if not benchmark.open_runs:
                await self._clean(benchmark)

    async def _again(self, benchmark: QueuedBenchmark, lease: Lease, *, cause: str) -> None:
        """Back to the queue, where its whole trials are not measured again; or, after too many times, its end."""
        times = int(benchmark.facts.get("taken_up", "0"))
        is_over = times >= MOST_TAKEN_UP
        if is_over:
            told = f"{cause}; it was taken up again {times} times already"
            await self._step(benchmark, RunStatus.INTERRUPTED, lease, cause=told)
            await self._clean(benchmark)
            await self.events.append(benchmark.id, reason="Interrupted", message=told)
            return
        facts = {"taken_up": str(times + 1), "taken_up_because": cause}
        await self._step(benchmark, RunStatus.QUEUED, lease, cause=f"taken up again: {cause}", facts=facts)
        await self.events.append(benchmark.id, reason="TakenUp", message=f"{cause}; whole trials are kept")

    async def _execute(self, queued: QueuedBenchmark, lease: Lease, stop: asyncio.Event) -> None:
        """One benchmark from its first step to its last; whatever fails is its cause."""
        is_left_to_next = False
        try:
            facts = {"folder": str(self._results(queued))}
            now = await self._step(queued, RunStatus.PREPARING, lease, facts=facts)
            if now.status is not RunStatus.PREPARING:
                return  # cancelled in this very moment
            key = await self.load_keys.make(queued.id)  # from now on it is known that there is something to clean up
            while (targets := await self.places.of(now, held=lambda: self._held(lease), stop=stop)) is None:
                now = await self.benchmarks.get(queued.id)
                if not now.open_runs:
                    return
            is_left_to_next = await self._measure(now, targets, key=key, stop=stop, lease=lease)
        except (LeaseLost, StoreUnavailable):
            is_left_to_next = True
            raise
        except RunInterrupted as error:
            await self._step(queued, RunStatus.INTERRUPTED, lease, cause=error.message)
        except (TokenForgeError, OSError) as error:
            await self._fail(queued, error, lease)
        finally:
            if not is_left_to_next:
                await patiently(lambda: self._clean_after(queued), what="the queue")

    async def _measure(
        self, queued: QueuedBenchmark, targets: list[Mapping[str, str]], *, key: str, stop: asyncio.Event, lease: Lease
    ) -> bool:
        """Offer the load in a process of its own; then every run has its end, or True: it is queued once more."""
        folder = self._results(queued).parent
        because = queued.facts.get("taken_up_because", "")
        asked = BenchAsked(body=remainder(queued), targets=targets, key=key, taken_up_because=because)
        bench = await start_bench(self.command, folder=folder, asked=asked)
        try:
            marked = {"process": bench.mark}
            await patiently(lambda: self._step(queued, RunStatus.RUNNING, lease, facts=marked), what="the queue")
            work = asyncio.create_task(bench.follow(lambda line: self._tell(queued, line)))
            while not work.done() and not stop.is_set() and await self._is_wanted(queued, bench, lease):
                await asyncio.wait({work}, timeout=POLL_S)
            is_cut = not work.done()
            if is_cut:
                await bench.interrupt()
            code = await work
        finally:
            if bench.process.returncode is None:
                await bench.interrupt()
        if is_cut and stop.is_set():
            await self._step(queued, RunStatus.INTERRUPTED, lease, cause="control was asked to end")
            return False
        return await self._finish(queued, lease, code=code, lines=tuple(bench.last_lines))

    async def _is_wanted(self, queued: QueuedBenchmark, bench: BenchProcess, lease: Lease) -> bool:
        """Whether any of its runs still is; those that are not are told to the process. Raises LeaseLost."""
        self._held(lease)
        try:
            now = await self.benchmarks.get(queued.id)
        except StoreUnavailable:
            return True  # what was asked meanwhile is read when it is there again
        bench.withdraw(withdrawn(now))
        return bool(now.open_runs)

    async def _finish(self, queued: QueuedBenchmark, lease: Lease, *, code: int, lines: tuple[str, ...]) -> bool:
        """Keep what was measured, with the status that the record gives each run; True: it is queued once more."""
        document = await asyncio.to_thread(read_result, self._results(queued))
        if document is not None:
            await self._keep(queued, document, lease)
            return False
        if code < 0 and (await self.benchmarks.get(queued.id)).open_runs:
            cause = f"its process was killed (signal {-code})"
            await self._again(queued, lease, cause=cause)
            return (await self.benchmarks.get(queued.id)).status is RunStatus.QUEUED
        error = WorkerFailed(f"no record was written (status {code})", last_words=lines or ("it wrote nothing",))
        await self._fail(queued, error, lease)
        return False

    async def _keep(self, queued: QueuedBenchmark, document: Mapping[str, object], lease: Lease) -> None:
        """Its files for good, its rows and the ends of its runs in one step; then the place it was written in goes."""
        folder, ending = self._results(queued), ending_of(queued, document)
        kept = kept_of(document, queued_id=queued.id)
        try:
            await patiently(lambda: self.archive.keep(folder, kept, lease=lease, ending=ending), what=queued.id)
        except StoreUnavailable as error:
            raise StoreFailed(f"what was measured is in {folder} and could not be kept: {error}") from error
        await asyncio.to_thread(shutil.rmtree, folder.parent, ignore_errors=True)
        now = await self.benchmarks.get(queued.id)
        message = ending.facts["headline"] or f"{now.status}"
        await self.events.append(queued.id, reason=now.status.capitalize(), message=message)

    async def _fail(self, queued: QueuedBenchmark, error: Exception, lease: Lease) -> None:
        cause = str(error)
        await patiently(lambda: self._step(queued, RunStatus.FAILED, lease, cause=cause), what=queued.id)
        words = error.last_words if isinstance(error, WorkerFailed) else ()
        message = "\n".join((str(error), *words))
        await self.events.append(queued.id, reason="Failed", message=message)
        _log.error("benchmark %s failed: %s", queued.id, message)

    async def _clean_after(self, queued: QueuedBenchmark) -> None:
        await self._clean(await self.benchmarks.get(queued.id))

    async def _clean(self, benchmark: QueuedBenchmark) -> None:
        """Remove deployments that were made for it, unless it was to keep them; at last, as the mark of it, its key."""
        if benchmark.body.get("keep", False) is not True:
            for identity in json.loads(benchmark.facts.get("made", "[]")):
                with contextlib.suppress(NotFound):
                    await self.deployments.delete(DeploymentId(identity))
        await self.load_keys.end(benchmark.id)

    def _step(
        self, queued: QueuedBenchmark, to: RunStatus, lease: Lease, *, cause: str = "",
        facts: Mapping[str, str] | None = None, runs: tuple[str, ...] | None = None,
    ) -> Awaitable[QueuedBenchmark]:  # fmt: skip
        return self.benchmarks.step(queued.id, to=to, lease=lease, cause=cause, facts=facts, runs=runs)

    def _held(self, lease: Lease) -> Lease:
        """The lease that its benchmark began under. Raises LeaseLost once another control has led since."""
        held = self.lease()
        if held is None or held.epoch != lease.epoch:
            raise LeaseLost("another control has led since this benchmark began here")
        return lease

    def _results(self, queued: QueuedBenchmark) -> Path:
        return self.folder / queued.id / "result"

    async def _tell(self, queued: QueuedBenchmark, line: str) -> None:
        with contextlib.suppress(StoreUnavailable):  # progress is for who looks on; nothing rests on it
            await self.events.append(queued.id, reason="Progress", message=line)
