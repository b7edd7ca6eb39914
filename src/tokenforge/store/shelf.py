"""The port to a shelf: small named things that processes of different machines lay down for each other for a while.

Unlike blobs, a name is chosen by whoever writes, and what lies there may be replaced. Nothing rests on conditional
writes or on listings being up to date: who reads knows the name, and a name that is not there yet is asked for again.
"""

import asyncio
import shutil
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from tokenforge.domain.errors import NotFound
from tokenforge.store.artifacts import store_failed


class Shelf(Protocol):
    """All raise StoreUnavailable where a second try can help, StoreFailed where it cannot."""

    async def put(self, name: str, content: bytes) -> None:
        """Lay it down; what lay there under that name is replaced."""
        ...

    async def get(self, name: str) -> bytes | None:
        """What lies there; None where nothing does."""
        ...

    async def put_file(self, name: str, file: Path) -> None:
        """Lay a file down, whatever its size."""
        ...

    async def get_file(self, name: str, file: Path) -> None:
        """Write what lies there to `file`. Raises NotFound."""
        ...

    async def clear(self) -> None:
        """Take everything off this shelf."""
        ...


class FolderShelf:
    """A shelf in a folder that all of them share."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, name: str, content: bytes) -> None:
        """Written beside, then moved there: who reads sees the one or the other."""
        await asyncio.to_thread(self._put, name, content)

    async def get(self, name: str) -> bytes | None:
        """What lies there."""
        try:
            return await asyncio.to_thread((self._root / name).read_bytes)
        except FileNotFoundError:
            return None

    async def put_file(self, name: str, file: Path) -> None:
        """A copy of it."""
        await asyncio.to_thread(self._put, name, file)

    async def get_file(self, name: str, file: Path) -> None:
        """A copy of what lies there. Raises NotFound."""
        try:
            await asyncio.to_thread(shutil.copyfile, self._root / name, file)
        except FileNotFoundError as error:
            raise NotFound(f"{name} is not in {self._root}") from error

    async def clear(self) -> None:
        """Remove the folder."""
        await asyncio.to_thread(shutil.rmtree, self._root, ignore_errors=True)

    def _put(self, name: str, content: bytes | Path) -> None:
        partial = self._root / f".{name}.{uuid4().hex}"
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                partial.write_bytes(content)
            else:
                shutil.copyfile(content, partial)
            partial.replace(self._root / name)
        except OSError as error:
            raise store_failed(self._root, error) from error
