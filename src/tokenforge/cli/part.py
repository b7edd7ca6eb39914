"""One of the processes that `up` keeps: how it is started, when it is started again, how it ends.

Who was killed from outside is back at once; only one that does not stay up is given longer and longer pauses. Which
processes they are is written down, so that the next `up` can end what this one, killed itself, could not.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenforge.cluster.local_group import kill_group
from tokenforge.cluster.process_mark import ProcessMark, is_alive, mark_of
from tokenforge.domain.canonical import to_plain

STEADY_S = 5.0
"""Who lived so long did not fail to start."""

_FREE_DEATHS = 2
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0
_LOOK_S = 0.05
_KILL_LIMIT_S = 5.0
_LEDGER = "parts.json"


def pause_s(quick_deaths: int) -> float:
    """How long to wait after so many deaths in a row soon after a start: nothing twice, then 0.5, 1, 2, 4, 5 s."""
    if quick_deaths <= _FREE_DEATHS:
        return 0.0
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(8, quick_deaths - _FREE_DEATHS - 1))


@dataclass(slots=True, kw_only=True)
class Part:
    """One process. `quick_deaths` counts those in a row that came soon after a start."""

    name: str
    arguments: tuple[str, ...]
    fds: tuple[int, ...]
    log_path: Path
    process: "subprocess.Popen[bytes] | None" = None
    started_s: float = 0.0
    quick_deaths: int = 0
    next_s: float = 0.0

    def keep(self, now_s: float, say: Callable[[str], None]) -> bool:
        """Start it when it is not there and its pause is over; True when it was started."""
        if self.process is not None and (code := self.process.poll()) is not None:
            self.quick_deaths = 0 if now_s - self.started_s >= STEADY_S else self.quick_deaths + 1
            self.next_s = now_s + pause_s(self.quick_deaths)
            self.process = None
            say(f"{self.name} ended ({_ending(code)}) and is started again; its log is {self.log_path}")
        if self.process is not None or now_s < self.next_s:
            return False
        self.started_s = now_s
        try:
            with self.log_path.open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "tokenforge.cli", *self.arguments],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=self.fds, start_new_session=True,
                )  # fmt: skip
        except OSError as error:  # no memory or no process left to be had: that passes
            self.next_s = now_s + _LONGEST_PAUSE_S
            say(f"{self.name} cannot be started: {error}")
            return False
        return True

    def replace(self, why: str, say: Callable[[str], None]) -> None:
        """Kill it, so that the next look starts another."""
        if self.process is not None:
            say(f"{self.name} {why}; it is killed and started again")
            self.process.kill()

    def end(self, *, limit_s: float, is_hurried: Callable[[], bool]) -> None:
        """SIGTERM, then SIGKILL once `limit_s` is over or one is in a hurry."""
        if self.process is None:
            return
        self.process.terminate()
        until = time.monotonic() + limit_s
        while self.process.poll() is None:
            if time.monotonic() > until or is_hurried():
                self.process.kill()
                self.process.wait()
                return
            time.sleep(_LOOK_S)


def write_ledger(folder: Path, parts: Sequence[Part]) -> None:
    """Write down which processes they are now."""
    marks = [mark_of(part.process.pid) for part in parts if part.process is not None]
    partial = folder / f".{_LEDGER}.partial"
    partial.write_text(json.dumps([to_plain(mark) for mark in marks if mark is not None]), encoding="utf-8")
    partial.replace(folder / _LEDGER)


def end_leftovers(folder: Path) -> int:
    """Kill what a former `up` left that was killed itself; returns how many. Call it only as the one `up` of a home."""
    try:
        noted = json.loads((folder / _LEDGER).read_bytes())
        marks = [ProcessMark(pid=int(n["pid"]), started_s=float(n["started_s"]), boot=str(n["boot"])) for n in noted]
    except (OSError, ValueError, KeyError, TypeError):
        return 0
    left = [mark for mark in marks if is_alive(mark)]
    for mark in left:
        kill_group(mark.pid)
    until = time.monotonic() + _KILL_LIMIT_S
    while any(is_alive(mark) for mark in left) and time.monotonic() < until:
        time.sleep(_LOOK_S)
    (folder / _LEDGER).unlink(missing_ok=True)
    return len(left)


def _ending(code: int) -> str:
    """How it ended, in a word."""
    return f"status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
