"""One process for sure: its id, and when it started by a clock that nobody sets. Ids are used again, start times not.

On Linux the start is counted from the machine's boot: the wall clock may be stepped while a worker runs, and the boot
time that the kernel derives from it moves along, so a start in Unix seconds would make a living worker a stranger.
"""

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

_CLOCK_SLACK_S = 0.05
_TICKS_PER_S = 100.0
"""What the kernel counts `/proc/PID/stat` in for programs, whatever its own timer is."""

_STARTED = 19
"""Which of the fields after the name in `/proc/PID/stat`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMark:
    """`started_s` is since the boot named `boot` on Linux; elsewhere since the epoch, and `boot` is empty."""

    pid: int
    started_s: float
    boot: str = ""


def mark_of(pid: int) -> ProcessMark | None:
    """The mark of a living process; None when there is none (a zombie counts as none)."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        started_s = _since_boot_s(pid) if sys.platform == "linux" else process.create_time()
        return ProcessMark(pid=pid, started_s=started_s, boot=_boot())
    except (psutil.Error, OSError):
        return None


def is_alive(mark: ProcessMark) -> bool:
    """Whether that very process still lives."""
    now = mark_of(mark.pid)
    return now is not None and now.boot == mark.boot and abs(now.started_s - mark.started_s) <= _CLOCK_SLACK_S


def is_another(mark: ProcessMark) -> bool:
    """Whether its id now belongs to another process: then the group of that id is not its own."""
    now = mark_of(mark.pid)
    return now is not None and not is_alive(mark)


def _since_boot_s(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return int(after_name[_STARTED]) / _TICKS_PER_S


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
