"""Which workers this machine started, on disk, so that leftovers of an owner that was killed can be ended later.

One small JSON file per worker. A process is known by its id and its start time together: ids are used again.
"""

import contextlib
import json
from pathlib import Path

from tokenforge.cluster.local_group import kill_group
from tokenforge.cluster.process_mark import ProcessMark, is_alive, is_another
from tokenforge.domain.canonical import to_plain

_SUFFIX = ".worker.json"


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
        if not is_another(worker):
            kill_group(worker.pid)
            reaped.append(name)
        entry.unlink(missing_ok=True)
    return tuple(reaped)


def _read(entry: Path) -> tuple[str, ProcessMark, ProcessMark] | None:
    with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
        body = json.loads(entry.read_text(encoding="utf-8"))
        marks = [
            ProcessMark(pid=int(one["pid"]), started_s=float(one["started_s"]), boot=str(one.get("boot", "")))
            for one in (body["worker"], body["owner"])
        ]
        return str(body["name"]), marks[0], marks[1]
    return None
