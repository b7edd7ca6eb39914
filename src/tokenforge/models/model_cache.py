"""Synthetic models made once and kept under the home folder, whoever asks first.

Two processes that want the same model wait for each other on a lock file, so it is made once; the lock is the kernel's
and ends with its process, so a killed maker blocks nobody. What a killed maker left half done is removed. The wait has
a limit: it never hangs.
"""

import contextlib
import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tokenforge.domain.errors import StoreFailed
from tokenforge.models.synthetic import fingerprint, make_synthetic, partial_prefix

LOCK_WAIT_S = 3600.0
_LOCK_POLL_S = 0.1

Make = Callable[[Path], Path]


def cached_synthetic(name: str, *, home: Path, seed: int = 0, wait_s: float = LOCK_WAIT_S) -> Path:
    """The folder of `synthetic:NAME` under `home`, made when missing. Raises InvalidInput or StoreFailed."""
    folder = home / "models" / f"synthetic-{name}-{fingerprint(name, seed=seed)}"
    return made_once(folder, lambda place: make_synthetic(name, place, seed=seed), wait_s=wait_s)


def made_once(folder: Path, make: Make, *, wait_s: float) -> Path:
    """`folder`, after calling `make` for it if it does not exist; one process at a time."""
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent / f".{folder.name}.lock", wait_s=wait_s):
            if folder.is_dir():
                return folder
            for leftover in folder.parent.glob(f"{partial_prefix(folder)}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            return make(folder)
    except OSError as error:
        hint = "Set TOKENFORGE_HOME to a folder you can write to"
        raise StoreFailed(f"{folder.parent} can't be used: {error.strerror or error}", hint=hint) from error


@contextlib.contextmanager
def _locked(path: Path, *, wait_s: float) -> Iterator[None]:
    deadline = time.monotonic() + wait_s
    with path.open("w") as file:
        while not _try_lock(file.fileno()):
            if time.monotonic() >= deadline:
                hint = f"End the other process, or wait for it; the lock is {path}"
                raise StoreFailed(f"another process has been making {path.stem[1:]} for {wait_s:g} s", hint=hint)
            time.sleep(_LOCK_POLL_S)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
