"""Runs one command and writes down what it cost: CPU time of its whole process tree over time, how it ended.

A program of its own (standard library only), between the harness and a client: as "subreaper" it inherits whatever the
client leaves behind, so nothing escapes the account or survives the limit. Usage: measured.py REPORT LIMIT_S COMMAND...
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

_SUBREAPER, _PARENT_DEATH = 36, 1
_SAMPLE_S = 0.2
_LEFTOVER_S = 3.0
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_NS = 1_000_000_000


def main(arguments: list[str]) -> int:
    """Run the command; the report is JSON with `code`, `timed_out`, `started_ns`, `ended_ns` and `samples`."""
    report, limit_s, command = Path(arguments[0]), float(arguments[1]), arguments[2:]
    libc = ctypes.CDLL(None)
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(_PARENT_DEATH, signal.SIGTERM, 0, 0, 0)
    signal.signal(signal.SIGTERM, _end_all)
    started_ns = time.monotonic_ns()
    child = os.posix_spawnp(command[0], command, os.environ)
    code, timed_out, samples = _watch(child, until_ns=started_ns + int(limit_s * _NS))
    ended_ns = time.monotonic_ns()
    samples.append((ended_ns, tree_cpu_s()))
    facts = {"code": code, "timed_out": timed_out, "started_ns": started_ns, "ended_ns": ended_ns, "samples": samples}
    report.write_text(json.dumps(facts))
    return 0


def _watch(child: int, *, until_ns: int) -> tuple[int, bool, list[tuple[int, float]]]:
    """Sample and reap until the whole tree is gone: by itself, or killed at `until_ns` or after the child's end."""
    samples: list[tuple[int, float]] = []
    code, timed_out = None, False
    while True:
        ended = _reap()
        if child in ended:
            code = ended[child]
            until_ns = min(until_ns, time.monotonic_ns() + int(_LEFTOVER_S * _NS))
        if not descendants(os.getpid()):
            return (-1 if code is None else code), timed_out, samples
        samples.append((time.monotonic_ns(), tree_cpu_s()))
        if time.monotonic_ns() > until_ns:
            timed_out = timed_out or code is None
            _kill_all()
        time.sleep(_SAMPLE_S if code is None else 0.02)


def _reap() -> dict[int, int]:
    """Exit codes of the children that ended since."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


def descendants(pid: int) -> list[int]:
    """Living processes under `pid`."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = _children(waiting.pop())
        found += children
        waiting += children
    return found


def tree_cpu_s() -> float:
    """CPU seconds of everything under this process so far, the dead included."""
    gone = resource.getrusage(resource.RUSAGE_CHILDREN)
    return gone.ru_utime + gone.ru_stime + sum(_cpu_s(pid) for pid in descendants(os.getpid()))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    except OSError:
        return found
    return found


def _cpu_s(pid: int) -> float:
    """Its own time and that of the children it waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) * _TICK_S


def _kill_all() -> None:
    for pid in descendants(os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _end_all(number: int, _frame: object) -> None:
    _kill_all()
    raise SystemExit(128 + number)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
