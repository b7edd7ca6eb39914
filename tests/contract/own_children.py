"""The processes that a test started, seen so that those of other tests, ended or not, cannot disturb it."""

import contextlib
import os
import time
from collections.abc import Collection

import psutil


def words_of(process: psutil.Process) -> list[str]:
    """Its command line; none when it has ended."""
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


def children_with(words: str, *, of: int | None = None) -> list[psutil.Process]:
    """Running descendants (of this process, or of `of`) whose command line, joined by blanks, contains `words`."""
    try:
        found = psutil.Process(of).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [child for child in found if words in " ".join(words_of(child))]


def child_pids() -> frozenset[int]:
    """Direct children of this process, ended ones that nobody waited for too."""
    return frozenset(child.pid for child in psutil.Process().children())


def reap(pids: Collection[int]) -> None:
    """Wait for the end of children that no one else waits for: they were killed, and who started them is gone."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)


def unreaped(*, limit_s: float) -> int | None:
    """A child that has ended and that nobody waits for within `limit_s`; None if there is none."""
    until = time.monotonic() + limit_s
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return None
        if ended is None or time.monotonic() > until:
            return None if ended is None else ended.si_pid
        time.sleep(0.02)
