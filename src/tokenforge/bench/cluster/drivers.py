"""Offer a trial's load from pods: an Indexed Job, one share of the plan a pod, one start for all, journals merged here.

The plan is dealt, and the journals are merged, by the code that does it for processes of one machine; only the ways
between are others. Each pod's stamps are of its own monotonic clock, and every latency lies within one pod. What spans
pods is the start: it is told to each by its own clock, compared with ours over the shelf (`driver.clock_offset`).

A pod that goes away unasked makes the trial one that did not happen: DriverLost, and whoever asked measures it again.
"""

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tokenforge import __version__
from tokenforge.bench.cluster.messages import (
    BEAT_S,
    POLL_S,
    ROUNDS,
    SILENCE_S,
    Beat,
    Done,
    Ready,
    Start,
    Tock,
    hear,
    progress_of,
    pulse,
    say,
)
from tokenforge.bench.cluster.pods import DriverPods
from tokenforge.bench.cluster.shares import cut_of, most_s, share_bytes
from tokenforge.bench.driver.clock_offset import Offset, Round, offset_of
from tokenforge.bench.driver.job import DriveJob, DriveResult, DriverFailed, DriverLost, Progress
from tokenforge.bench.driver.offer import journal_path, merged, process_count
from tokenforge.bench.driver.reading import Watcher
from tokenforge.domain.errors import ClusterUnreachable, StoreUnavailable, TokenForgeError
from tokenforge.store.shelf import Shelf

READY_LIMIT_S = 900.0
"""How long pods may take to be placed, fetch their image, and connect."""

_LEAST_LEAD_NS = 500_000_000
_COLLECT_S = 15.0
_AWAY_S = 120.0


@dataclass(slots=True, kw_only=True)
class ClusterDrivers:
    """The port Offer on a cluster. `shelf_of` opens the shelf of that name; `new_name` names a Job."""

    pods: DriverPods
    shelf_of: Callable[[str], Shelf]
    new_name: Callable[[], str]
    ready_limit_s: float = READY_LIMIT_S

    async def __call__(self, job: DriveJob, *, on_progress: Callable[[Progress], None] | None = None) -> DriveResult:
        """Run the trial. Raises DriverLost, DriverFailed; ClusterRefused or ClusterUnreachable when it cannot begin."""
        name = self.new_name()
        shelf = self.shelf_of(name)
        offered = _Offered(job=job, name=name, shelf=shelf, pods=self.pods, limit_s=self.ready_limit_s)
        beating = asyncio.create_task(pulse(shelf))
        try:
            return await offered.run(on_progress)
        finally:
            beating.cancel()
            await asyncio.shield(self._clear(name, shelf))

    async def clear(self) -> None:
        """End Jobs that a predecessor left behind."""
        await self.pods.clear()

    async def _clear(self, name: str, shelf: Shelf) -> None:
        """The Job and what lies on the shelf; what cannot be removed now goes with its time limit, or is left over."""
        with contextlib.suppress(TokenForgeError):
            await self.pods.delete(name)
        with contextlib.suppress(TokenForgeError):
            await shelf.clear()


@dataclass(slots=True, kw_only=True)
class _Offered:
    """One trial that is offered. `seats` are the pods that have a share, by number."""

    job: DriveJob
    name: str
    shelf: Shelf
    pods: DriverPods
    limit_s: float
    seats: dict[int, Ready] = field(default_factory=dict)
    _looked_s: float = 0.0
    _gone: set[int] = field(default_factory=set)

    async def run(self, on_progress: Callable[[Progress], None] | None) -> DriveResult:
        """From its shares to its merged journals."""
        count = process_count(self.job)
        self.job.folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            content = await asyncio.to_thread(share_bytes, self.job, number)
            await self.shelf.put(f"share-{number}", content)
        await self._create(count)
        try:
            await self._seat(count)
            offsets = await self._compare_clocks()
            origin_ns = await self._start(offsets)
            done = await self._follow(origin_ns, on_progress)
            return await self._merge(done, offsets, origin_ns=origin_ns, on_progress=on_progress)
        except StoreUnavailable as error:
            await asyncio.shield(self._keep())
            raise DriverLost(f"the way to driver pods was cut: {error.message}") from error
        except (TokenForgeError, asyncio.CancelledError):
            await asyncio.shield(self._keep())
            raise

    async def _create(self, count: int) -> None:
        """Make the Job; an API server that is away for a while is waited for."""
        until_s = time.monotonic() + _AWAY_S
        while True:
            try:
                await self.pods.create(self.name, count=count, limit_s=round(self.limit_s + most_s(self.job)))
            except ClusterUnreachable:
                if time.monotonic() > until_s:
                    raise
                await asyncio.sleep(2 * BEAT_S)
            else:
                return

    async def _seat(self, count: int) -> None:
        """Wait until every share has its pod, and each is of our own version."""
        until_s = time.monotonic() + self.limit_s
        while len(self.seats) < count:
            for number in range(count):
                if number not in self.seats and (ready := await hear(self.shelf, f"ready-{number}", Ready)):
                    self.seats[number] = ready
            await self._look(is_begun=False)
            if time.monotonic() > until_s:
                cause = await self.pods.waiting_for(self.name)
                raise DriverFailed(f"{len(self.seats)} of {count} driver pods came within {self.limit_s:g} s: {cause}")
            await asyncio.sleep(BEAT_S / 4)
        others = {seat.version for seat in self.seats.values()} - {__version__}
        if others:
            hint = "name the image of this version as drivers.image in the site's settings"
            raise DriverFailed(f"driver pods are of version {', '.join(others)}, this is {__version__}", hint=hint)

    async def _compare_clocks(self) -> Mapping[int, Offset]:
        """Tick to all and hear what each answers, some rounds."""
        rounds: dict[int, list[Round]] = {number: [] for number in self.seats}
        for turn in range(ROUNDS):
            sent_ns = time.monotonic_ns()
            await self.shelf.put(f"tick-{turn}", b"tick")
            answers = await asyncio.gather(*(self._answer(number, turn, sent_ns) for number in self.seats))
            for number, answer in zip(self.seats, answers, strict=True):
                rounds[number].append(answer)
        try:
            return {number: offset_of(listed) for number, listed in rounds.items()}
        except ValueError as error:
            raise DriverLost(f"the clocks of driver pods cannot be compared: {error}") from error

    async def _answer(self, number: int, turn: int, sent_ns: int) -> Round:
        until_s = time.monotonic() + SILENCE_S
        while (tock := await hear(self.shelf, f"tock-{number}-{turn}", Tock)) is None:
            if time.monotonic() > until_s:
                raise DriverLost(f"driver pod {self.seats[number].pod} does not answer any more")
            await asyncio.sleep(POLL_S)
        heard_ns = time.monotonic_ns()
        if tock.life != self.seats[number].life:
            raise DriverLost(f"driver pod {self.seats[number].pod} was replaced")
        return Round(
            sent_ns=sent_ns, seen_there_ns=tock.seen_ns, answered_there_ns=tock.answered_ns, heard_ns=heard_ns
        )  # fmt: skip

    async def _start(self, offsets: Mapping[int, Offset]) -> int:
        """Tell each pod the start by its own clock, long enough before; ours is returned."""
        widest_ns = max(offset.bound_ns for offset in offsets.values())
        origin_ns = time.monotonic_ns() + max(_LEAST_LEAD_NS, 20 * widest_ns) + 20_000_000 * len(offsets)
        words = [
            say(self.shelf, f"start-{number}", Start(life=seat.life, origin_ns=origin_ns + offsets[number].at_ns))
            for number, seat in self.seats.items()
        ]
        await asyncio.gather(*words)
        return origin_ns

    async def _follow(self, origin_ns: int, on_progress: Callable[[Progress], None] | None) -> Mapping[int, Done]:
        """Hear beats until every pod has brought its journal."""
        done: dict[int, Done] = {}
        beats: dict[int, Beat] = {}
        heard_s = dict.fromkeys(self.seats, time.monotonic() + max(0.0, (origin_ns - time.monotonic_ns()) / 1e9))
        until_s = time.monotonic() + most_s(self.job)
        while len(done) < len(self.seats):
            await asyncio.sleep(BEAT_S / 2)
            with contextlib.suppress(StoreUnavailable):
                await self._hear_all(done, beats, heard_s)
            if on_progress is not None:
                on_progress(progress_of(beats.values(), elapsed_s=max(0, time.monotonic_ns() - origin_ns) / 1e9))
            await self._look(is_begun=True, done=done)
            silent = [n for n, since in heard_s.items() if n not in done and time.monotonic() - since > SILENCE_S]
            if silent:
                self._gone.update(silent)
                seat = self.seats[silent[0]]
                raise DriverLost(f"driver pod {seat.pod} on {seat.node} was not heard of for {SILENCE_S:g} s")
            if time.monotonic() > until_s:
                raise DriverFailed(f"driver pods did not end within {most_s(self.job):g} s")
        return done

    async def _hear_all(self, done: dict[int, Done], beats: dict[int, Beat], heard_s: dict[int, float]) -> None:
        for number, seat in self.seats.items():
            if number in done:
                continue
            beat = await hear(self.shelf, f"beat-{number}", Beat)
            if beat is not None and beat.life == seat.life and beat != beats.get(number):
                beats[number], heard_s[number] = beat, time.monotonic()
            ended = await hear(self.shelf, f"done-{number}", Done)
            if ended is not None:
                done[number] = self._checked(number, ended)

    def _checked(self, number: int, done: Done) -> Done:
        seat = self.seats[number]
        if done.life != seat.life:
            raise DriverLost(f"driver pod {seat.pod} was replaced")
        if done.code:
            last = f": {done.last_words[-1]}" if done.last_words else ""
            raise DriverFailed(f"the driver in pod {seat.pod} ended with {done.code}{last}", last_words=done.last_words)
        return done

    async def _look(self, *, is_begun: bool, done: Mapping[int, Done] | None = None) -> None:
        """See now and then whether the cluster still has every pod. Raises DriverLost with its cause."""
        if time.monotonic() - self._looked_s < 2 * BEAT_S:
            return
        self._looked_s = time.monotonic()
        lost = await self.pods.lost(self.name, [s.life for n, s in self.seats.items() if n not in (done or {})])
        if lost is None:
            return
        pod = lost.pod
        for number, seat in self.seats.items():
            if seat.life != lost.life:
                continue
            if is_begun and await hear(self.shelf, f"done-{number}", Done) is not None:
                return  # its last word came between: who brought a journal was not lost
            self._gone.add(number)
            pod = seat.pod
        raise DriverLost(f"driver pod {pod} {lost.text}")

    async def _merge(
        self, done: Mapping[int, Done], offsets: Mapping[int, Offset], *, origin_ns: int,
        on_progress: Callable[[Progress], None] | None,
    ) -> DriveResult:  # fmt: skip
        """Fetch the journals and merge them as those of processes here. Raises DriverLost for one that is not whole."""
        journals = [await self._fetch(number, said) for number, said in sorted(done.items())]
        watcher = Watcher(journals)
        progress = await asyncio.to_thread(watcher.look, elapsed_s=(time.monotonic_ns() - origin_ns) / 1e9)
        if on_progress is not None:
            on_progress(progress)
        if len(watcher.beats) != len(journals) or any(beat.stopped_early or not beat.final for beat in watcher.beats):
            raise DriverLost(
                await asyncio.to_thread(cut_of, journals, [seat.pod for _, seat in sorted(self.seats.items())])
            )
        scheduling = ", ".join(sorted({seat.scheduling for seat in self.seats.values()}))
        result = await asyncio.to_thread(
            merged, self.job, journals, beats=watcher.beats, scheduling=scheduling, origin_ns=origin_ns
        )
        return replace(result, notes=(self._note(offsets),))

    async def _fetch(self, number: int, said: Done) -> Path:
        path = journal_path(self.job.folder, self.job.plan.trial, number)
        await self.shelf.get_file(f"journal-{number}", path)
        if await asyncio.to_thread(_sha256, path) != said.sha256:
            raise DriverLost(f"the journal of driver pod {self.seats[number].pod} came damaged")
        return path

    async def _keep(self) -> None:
        """Ask all pods to end; what they bring within some seconds is kept with the broken trial."""
        until_s = time.monotonic() + _COLLECT_S
        missing = set(self.seats) - self._gone
        with contextlib.suppress(TokenForgeError):
            await self.shelf.put("stop", b"stop")
            while missing and time.monotonic() < until_s:
                for number in sorted(missing):
                    said = await hear(self.shelf, f"done-{number}", Done)
                    if said is not None and said.life == self.seats[number].life:
                        missing.discard(number)
                        with contextlib.suppress(TokenForgeError):
                            await self._fetch(number, said)
                await asyncio.sleep(BEAT_S / 4)

    def _note(self, offsets: Mapping[int, Offset]) -> str:
        nodes = sorted({seat.node for seat in self.seats.values()})
        bound_ms = max(offset.bound_ns for offset in offsets.values()) / 1e6
        return (
            f"offered by {len(self.seats)} pods on {', '.join(nodes)}; they began within {2 * bound_ms:.1f} ms of each "
            "other, and every latency is measured by one pod's own clock"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
