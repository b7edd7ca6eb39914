"""A small file system of its own, so that a server's disk can be filled for real: a tmpfs, which root may mount."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BALLAST = ".ballast"
_PIECE = b"\0" * (1 << 20)


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """What is mounted at `folder`."""

    folder: Path

    def fill(self, *, leave_bytes: int = 0) -> None:
        """Take all room but so much, whoever waits for it."""
        free = os.statvfs(self.folder)
        wanted = free.f_bavail * free.f_bsize - leave_bytes
        with contextlib.suppress(OSError), (self.folder / _BALLAST).open("ab", buffering=0) as ballast:
            while wanted > 0:
                wanted -= ballast.write(_PIECE[:wanted])

    def free(self) -> None:
        """Give the room back."""
        (self.folder / _BALLAST).unlink(missing_ok=True)


def can_mount() -> bool:
    """Whether this process may mount file systems."""
    if os.geteuid() != 0:
        return False
    done = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    return done.returncode == 0


@contextlib.contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[SmallDisk]:
    """One of that size at `folder`, until the end of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", folder], check=True)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)
