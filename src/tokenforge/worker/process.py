"""The worker as a process: its own session, its lifeline to the parent, its announcements, and an end without orphans.

Engines start children of their own. They stay in the worker's session, so whoever ends the worker can end them all;
when the parent dies, the lifeline (a pipe that only the parent holds open) tells the worker, which then ends them.
"""

import contextlib
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tokenforge.cluster.process_mark import ProcessMark, mark_of
from tokenforge.protocol.worker_spec import Announcement, WorkerState, announcement_to_line, worker_state_to_json

LIFELINE_GRACE_S = 3.0


def lead_session() -> None:
    """Become the leader of a session and group of our own, unless we are one already."""
    if os.getpgrp() != os.getpid():
        os.setsid()


def raise_file_limit() -> None:
    """Take as many file descriptors as we may: each stream holds one, and the usual 1,024 are soon gone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def hold_lifeline(fd: int, on_cut: Callable[[], None]) -> None:
    """Watch the inherited pipe `fd` from a thread, so that a busy event loop cannot miss the end of the parent."""
    os.set_inheritable(fd, False)
    threading.Thread(target=_wait_for_cut, args=(fd, on_cut), name="lifeline", daemon=True).start()


def kill_after(limit_s: float) -> None:
    """From a thread: end the whole group by force if it is still here after `limit_s`."""
    threading.Thread(target=_kill_late, args=(limit_s,), name="last-resort", daemon=True).start()


def end_children(*, grace_s: float = 1.0) -> None:
    """End what is left of our group and session except ourselves: SIGTERM, a short while, SIGKILL."""
    others = _others()
    for process in others:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    for process in psutil.wait_procs(others, timeout=grace_s)[1]:
        with contextlib.suppress(psutil.Error):
            process.kill()


class Announcer:
    """Writes announcements to the pipe of the parent, and the latest to a state file for whoever looks later.

    Without a pipe, or when nobody reads any more, it is silent there; without a file it writes none.
    """

    def __init__(self, fd: int | None, state_file: Path | None = None) -> None:
        self._fd = fd
        self._state_file = state_file
        if fd is not None:
            os.set_inheritable(fd, False)

    def say(self, announcement: Announcement) -> None:
        """Write one line, and the file."""
        self.note(announcement)
        if self._fd is None:
            return
        try:
            os.write(self._fd, announcement_to_line(announcement))
        except OSError:
            self._fd = None

    def note(self, announcement: Announcement) -> None:
        """Write the file alone, as a whole."""
        if self._state_file is None:
            return
        mark = mark_of(os.getpid()) or ProcessMark(pid=os.getpid(), started_s=0.0)
        state = WorkerState(pid=mark.pid, started_s=mark.started_s, boot=mark.boot, said=announcement)
        partial = self._state_file.with_name(f".{self._state_file.name}.partial")
        partial.write_bytes(worker_state_to_json(state))
        partial.replace(self._state_file)


def _wait_for_cut(fd: int, on_cut: Callable[[], None]) -> None:
    while os.read(fd, 1):
        pass
    on_cut()
    _kill_late(LIFELINE_GRACE_S)


def _kill_late(limit_s: float) -> None:
    time.sleep(limit_s)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _others() -> list[psutil.Process]:
    me, found = os.getpid(), []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            if pid != me and me in (os.getpgid(pid), os.getsid(pid)):
                found.append(psutil.Process(pid))
    return found
