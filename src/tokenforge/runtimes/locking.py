"""A lock between processes on one file, with a limit. The kernel lets it go when its holder dies."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenforge.domain.errors import EnvironmentFailed

_POLL_S = 0.2


@contextmanager
def held_lock(path: Path, *, limit_s: float, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock on `path`. Raises EnvironmentFailed when another process keeps it longer than `limit_s`."""
    with path.open("w") as file:
        deadline = time.monotonic() + limit_s
        told = False
        while not _try(file.fileno()):
            if not told:
                on_wait("waiting for another process that is making it")
                told = True
            if time.monotonic() > deadline:
                hint = f"If no other process works on it, delete {path}"
                raise EnvironmentFailed(f"{path} was locked for more than {limit_s:.0f} s", hint=hint)
            time.sleep(_POLL_S)
        yield


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
