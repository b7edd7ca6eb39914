"""Blobs in a folder of this machine: the default."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from tokenforge.domain.errors import NotFound, StoreFailed
from tokenforge.store.artifacts import store_failed, write_whole
from tokenforge.store.blobs.base import Blob, Listed, blob_of, key_of


class FolderBlobs:
    """The port Blobs on the folder `root`, which is made when needed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, file: Path, *, media_type: str) -> Blob:
        """Keep the content of `file`."""
        del media_type  # a folder knows none
        return await asyncio.to_thread(self._put, file)

    async def get(self, sha256: str, file: Path) -> None:
        """Write the blob to `file`. Raises NotFound, StoreFailed."""
        await asyncio.to_thread(self._get, sha256, file)

    async def place(self, sha256: str, *, ttl_s: float) -> Path | str:
        """Its path."""
        del ttl_s
        return self._root / key_of(sha256)

    async def delete(self, sha256: str) -> None:
        """Remove it."""
        (self._root / key_of(sha256)).unlink(missing_ok=True)

    async def list(self) -> AsyncIterator[Listed]:
        """All that are there."""
        for path in await asyncio.to_thread(lambda: list(self._root.glob("blobs/??/" + "?" * 64))):
            seen = path.stat()
            yield Listed(sha256=path.name, size_bytes=seen.st_size, written_s=seen.st_mtime)

    def _put(self, file: Path) -> Blob:
        try:
            blob = blob_of(file)
            path = self._root / key_of(blob.sha256)
            if path.exists() and path.stat().st_size == blob.size_bytes:
                path.touch()  # it counts as new, so that nobody who clears away what is not needed takes it
                return blob
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise store_failed(file, error) from error
        partial = path.with_name(f".{path.name}.{uuid4().hex}")  # of this writer alone; all end with the same file
        if write_whole(partial, lambda to: _copy(file, to)) != blob.sha256:
            partial.unlink()
            raise StoreFailed(f"{file} changed while it was kept")
        partial.replace(path)
        return blob

    def _get(self, sha256: str, file: Path) -> None:
        path = self._root / key_of(sha256)
        if not path.exists():
            raise NotFound(f"the artifact {sha256} is not in {self._root}")
        if write_whole(file, lambda to: _copy(path, to)) != sha256:
            file.unlink()
            raise StoreFailed(f"{path} is not what was kept: its checksum differs", hint="The disk may be broken")


def _copy(source: Path, to: BinaryIO) -> None:
    with source.open("rb") as opened:
        shutil.copyfileobj(opened, to, 1 << 20)
