"""What a driver pod does: take its share, compare clocks, offer the load in a child, bring its journal back.

The child is the very one that offers load on one machine. This process sleeps beside it and says once a second how far
it is. It ends the load when whoever asked for it is not heard of any more: no load goes on that nobody waits for.
"""

import asyncio
import contextlib
import hashlib
import struct
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

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
    say,
)
from tokenforge.bench.journal import HEARTBEAT, Heartbeat, JournalTail, decode_heartbeat
from tokenforge.domain.errors import StoreUnavailable, TokenForgeError
from tokenforge.store.shelf import Shelf

T = TypeVar("T")

JOURNAL = "journal"
"""Where the child writes, in its own folder: what a share's head says."""

_ORIGIN = struct.Struct("<q")
_READY_S = 60.0
_STOP_S = 3.0
_WORDS = 12


class TakenBefore(TokenForgeError):
    """Another pod of this number began the share: offered once more, its requests would count twice."""

    code = "driver_taken"


class TooLate(TokenForgeError):
    """The word to start came after the start."""

    code = "driver_late"


class LeftAlone(TokenForgeError):
    """Whoever asked for the load is not heard of any more."""

    code = "driver_alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Who this pod is. `wait_s`: how long it waits for the others of its Job."""

    index: int
    life: str
    pod: str
    node: str
    version: str
    wait_s: float = 900.0


@dataclass(slots=True)
class DriverPod:
    """One pod's life at `shelf`; `stop` is set when its end is asked for."""

    shelf: Shelf
    seat: Seat
    stop: asyncio.Event
    _child: asyncio.subprocess.Process | None = None
    _heard_s: float = field(default_factory=time.monotonic)
    _alive: bytes | None = None

    async def run(self) -> int:
        """From its share to its journal; the status to end with."""
        with tempfile.TemporaryDirectory(prefix="driver-") as name, tempfile.TemporaryFile() as words:
            folder = Path(name)
            await self._patiently(lambda: self.shelf.get_file(f"share-{self.seat.index}", folder / "share"))
            try:
                await self._begin(folder, words)
                start = await self._agree()
                if start is not None:
                    _input(self._child).write(_ORIGIN.pack(start.origin_ns))
                    await self._follow(folder / JOURNAL)
            finally:
                code = await self._end()
            return await self._bring(folder / JOURNAL, code=code, words=_last(words))

    async def _begin(self, folder: Path, words: IO[bytes]) -> None:
        """Start the child and wait until it has its connections."""
        child = self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tokenforge.bench.driver", "share", cwd=folder, stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=words,
        )  # fmt: skip
        assert child.stdout is not None
        line = b""
        with contextlib.suppress(TimeoutError):
            line = await asyncio.wait_for(child.stdout.readline(), _READY_S)
        if not line.startswith(b"ready "):
            raise TokenForgeError(
                f"the driver process did not get ready: {' / '.join(_last(words)) or 'it said nothing'}"
            )
        seat, scheduling = self.seat, line.decode().removeprefix("ready ").strip()
        ready = Ready(life=seat.life, pod=seat.pod, node=seat.node, version=seat.version, scheduling=scheduling)
        await self._patiently(lambda: say(self.shelf, f"ready-{seat.index}", ready))

    async def _agree(self) -> Start | None:
        """Compare clocks, then hear when the load begins; None when the end was asked for before."""
        seat = self.seat
        for number in range(ROUNDS):
            if await self._until(lambda number=number: self.shelf.get(f"tick-{number}")) is None:  # type: ignore[misc]
                return None
            seen_ns = time.monotonic_ns()
            tock = Tock(life=seat.life, seen_ns=seen_ns, answered_ns=time.monotonic_ns())
            await self._patiently(lambda number=number, tock=tock: say(self.shelf, f"tock-{seat.index}-{number}", tock))  # type: ignore[misc]
        start = await self._until(lambda: hear(self.shelf, f"start-{seat.index}", Start))
        if start is None:
            return None
        if start.life != seat.life:
            raise TakenBefore(f"share {seat.index} was begun by another pod")
        late_ms = (time.monotonic_ns() - start.origin_ns) / 1e6
        if late_ms > 0:
            raise TooLate(f"the word to start came {late_ms:.0f} ms late")
        return start

    async def _until(self, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """Its answer, once there is one; None when the end was asked for. Raises LeftAlone."""
        until_s = time.monotonic() + self.seat.wait_s
        while not self.stop.is_set():
            if (answer := await self._patiently(ask)) is not None:
                return answer
            await self._listen()
            if time.monotonic() > until_s:
                raise LeftAlone(f"nothing was heard for {self.seat.wait_s:g} s")
            await asyncio.sleep(POLL_S)
        return None

    async def _listen(self) -> None:
        """Hear whether whoever asked is alive, and whether it wants the end. At most once a beat."""
        now_s = time.monotonic()
        if now_s - self._heard_s < BEAT_S:
            return
        with contextlib.suppress(StoreUnavailable):
            alive = await self.shelf.get("alive")
            if alive is not None and alive != self._alive:
                self._alive, self._heard_s = alive, now_s
            if await self.shelf.get("stop") is not None:
                self.stop.set()
        if now_s - self._heard_s > SILENCE_S:
            raise LeftAlone(f"whoever asked for this load was not heard of for {SILENCE_S:g} s")

    async def _follow(self, journal: Path) -> None:
        """Say how far it is until the child ends, or its end is asked for."""
        child = self._child
        assert child is not None
        tail, beat, number = JournalTail(journal), None, 0
        ending = asyncio.create_task(child.wait())
        asked = asyncio.create_task(self.stop.wait())
        try:
            while not (ending.done() or asked.done()):
                await asyncio.wait({ending, asked}, timeout=BEAT_S, return_when=asyncio.FIRST_COMPLETED)
                for kind, payload in tail.poll():
                    beat = decode_heartbeat(payload) if kind == HEARTBEAT else beat
                number += 1
                with contextlib.suppress(StoreUnavailable):
                    await say(self.shelf, f"beat-{self.seat.index}", _told(beat, life=self.seat.life, number=number))
                await self._listen()
        finally:
            asked.cancel()
            ending.cancel()

    async def _end(self) -> int:
        """Ask the child by closing its pipe, then kill it; its status."""
        child = self._child
        if child is None:
            return 1
        if child.returncode is None:
            with contextlib.suppress(OSError):
                _input(child).close()
            try:
                await asyncio.wait_for(child.wait(), _STOP_S)
            except TimeoutError:
                child.kill()
        return await child.wait()

    async def _bring(self, journal: Path, *, code: int, words: tuple[str, ...]) -> int:
        """Lay the journal down, then say that it is there."""
        sha256, size_bytes = await asyncio.to_thread(_digest, journal)
        done = Done(life=self.seat.life, code=code, sha256=sha256, size_bytes=size_bytes, last_words=words)
        await self._patiently(lambda: self.shelf.put_file(f"journal-{self.seat.index}", journal))
        await self._patiently(lambda: say(self.shelf, f"done-{self.seat.index}", done))
        return code

    async def _patiently(self, act: Callable[[], Awaitable[T]]) -> T:
        """Again while the store does not answer, for as long as anybody would wait. Raises StoreUnavailable then."""
        until_s = time.monotonic() + SILENCE_S
        while True:
            try:
                return await act()
            except StoreUnavailable:
                if time.monotonic() > until_s:
                    raise
                await asyncio.sleep(BEAT_S)


def _digest(file: Path) -> tuple[str, int]:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest(), opened.tell()


def _told(beat: Heartbeat | None, *, life: str, number: int) -> Beat:
    if beat is None:
        return Beat(life=life, number=number, sent=0, finished=0, errors=0, in_flight=0, tokens=0)
    return Beat(
        life=life, number=number, sent=beat.sent, finished=beat.finished, errors=beat.errors, in_flight=beat.in_flight,
        tokens=beat.tokens,
    )  # fmt: skip


def _input(child: asyncio.subprocess.Process | None) -> asyncio.StreamWriter:
    assert child is not None
    assert child.stdin is not None
    return child.stdin


def _last(words: IO[bytes]) -> tuple[str, ...]:
    words.seek(0)
    return tuple(words.read().decode(errors="replace").splitlines()[-_WORDS:])
