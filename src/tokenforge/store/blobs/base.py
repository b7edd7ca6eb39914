"""The port to where artifacts' bytes are kept. A blob is named by the SHA-256 of its content, so it never changes.

To keep the same bytes again is no error and no second copy; two that write at once write the same, so nothing here
rests on a server's conditional writes, which not all of them have. What a blob is called, and by whom it is needed, is
in the database. Its contract test is `tests/contract/test_blobs_contract.py`.
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """What was kept: the SHA-256 of its content (hex), and its size."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A blob that is there, and when it was last written (Unix seconds, the server's clock)."""

    sha256: str
    size_bytes: int
    written_s: float


class Blobs(Protocol):
    """All raise StoreUnavailable where a second try can help, StoreFailed where it cannot."""

    async def put(self, file: Path, *, media_type: str) -> Blob:
        """Keep the content of `file`: when this returns, it is there whole and stays."""
        ...

    async def get(self, sha256: str, file: Path) -> None:
        """Write the blob to `file`, whole or not at all. Raises NotFound, or StoreFailed when its bytes are others."""
        ...

    async def place(self, sha256: str, *, ttl_s: float) -> Path | str:
        """Where it can be read: a path of this machine, or a link that works for `ttl_s` without any key."""
        ...

    async def delete(self, sha256: str) -> None:
        """Remove it. None is no error."""
        ...

    def list(self) -> AsyncIterator[Listed]:
        """All that are there, in no order."""
        ...


def blob_of(file: Path) -> Blob:
    """The name of a file's content."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return Blob(sha256=digest, size_bytes=opened.tell())


def key_of(sha256: str) -> str:
    """Where a blob is within its store: two characters of its name first, so that no folder gets too full."""
    if len(sha256) != 64 or not _HEX.issuperset(sha256):
        raise ValueError(f"{sha256[:80]!r} is not a SHA-256 in hexadecimal")
    return f"blobs/{sha256[:2]}/{sha256}"
