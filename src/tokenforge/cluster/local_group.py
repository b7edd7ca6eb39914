"""End a worker's whole group and session: its engine's children must not outlive it.

A worker leads its own session, so everything it started is found by group or session id, also when the leader is gone
and its children hang on the init process.
"""

import contextlib
import os
import signal

import psutil


def members(leader: int) -> list[int]:
    """Ids of the living processes in the group or the session led by `leader`; zombies are left out."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            is_member = leader in (os.getpgid(pid), os.getsid(pid))
            if is_member and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def cpu_seconds(leader: int) -> float | None:
    """CPU seconds, user and system, of all living members; None when there is none."""
    found = []
    for pid in members(leader):
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            found.append(times.user + times.system)
    return sum(found) if found else None


def kill_group(leader: int) -> None:
    """SIGKILL all members at once. No member is no error."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    for pid in members(leader):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
