"""Which workers this machine started, on disk, so that leftovers of an owner that was killed can be ended later.

One small JSON file per worker. A process is known by its id and its start time together: ids are used again.
"""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

import psutil

from tokenforge.cluster.local_group import kill_group
from tokenforge.domain.canonical import to_plain

_SUFFIX = ".worker.json"
_CLOCK_SLACK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMark:
    """One process for sure: its id, and when it started (seconds since the epoch)."""

    pid: int
    started_s: float


def mark_of(pid: int) -> ProcessMark | None:
    """The mark of a living process; None when there is none (a zombie counts as none)."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return ProcessMark(pid=pid, started_s=process.create_time())
    except psutil.Error:
        return None


def is_alive(mark: ProcessMark) -> bool:
    """Whether that very process still lives."""
    now = mark_of(mark.pid)
    return now is not None and abs(now.started_s - mark.started_s) <= _CLOCK_SLACK_S


def enter(folder: Path, *, name: str, worker: ProcessMark, owner: ProcessMark) -> Path:
    """Note a started worker; returns the entry, to be removed once no process of it is left."""
    entry = folder / f"{name}-{worker.pid}{_SUFFIX}"
    entry.write_text(json.dumps({"name": name, "worker": to_plain(worker), "owner": to_plain(owner)}), encoding="utf-8")
    return entry


def reap_orphans(state_folder: Path) -> tuple[str, ...]:
    """End every worker in `state_folder` whose owner is dead, with its whole group; returns their names."""
    reaped = []
    for entry in sorted(state_folder.glob(f"*{_SUFFIX}")):
        read = _read(entry)
        if read is None:
            entry.unlink(missing_ok=True)
            continue
        name, worker, owner = read
        if is_alive(owner):
            continue
        if _is_ours(worker):
            kill_group(worker.pid)
            reaped.append(name)
        entry.unlink(missing_ok=True)
    return tuple(reaped)


def _is_ours(worker: ProcessMark) -> bool:
    """Whether the group of that id can only be the worker's: led by it, or by nobody but still with members."""
    now = mark_of(worker.pid)
    return now is None or abs(now.started_s - worker.started_s) <= _CLOCK_SLACK_S


def _read(entry: Path) -> tuple[str, ProcessMark, ProcessMark] | None:
    with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
        body = json.loads(entry.read_text(encoding="utf-8"))
        marks = [
            ProcessMark(pid=int(body[who]["pid"]), started_s=float(body[who]["started_s"]))
            for who in ("worker", "owner")
        ]
        return str(body["name"]), marks[0], marks[1]
    return None
