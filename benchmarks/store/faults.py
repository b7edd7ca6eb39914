"""Points at which a process that writes a run is killed or frozen: before and after each thing that it makes last.

A database and an artifact store are wrapped; each write and each file sent has its steps. At the one that was asked for
the process kills or stops itself, as nothing in it expects.
"""

import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tokenforge.store.blobs.base import Blob, Blobs, Listed
from tokenforge.store.sql.connection import Connection
from tokenforge.store.sql.database import Database

T = TypeVar("T")


@dataclass(slots=True)
class Fault:
    """Comes at step `at` (0: never) with `number`, a signal."""

    at: int = 0
    number: int = signal.SIGKILL
    step: int = 0

    def pass_by(self) -> None:
        """One step on."""
        self.step += 1
        if self.step == self.at:
            os.kill(os.getpid(), self.number)


@dataclass(slots=True)
class FaultyDatabase:
    """Steps before and after each write."""

    under: Database
    fault: Fault

    async def read(self, work: Callable[[Connection], T]) -> T:
        """As it is."""
        return await self.under.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """With a step before it, one within the transaction, one after."""

        def within(db: Connection) -> T:
            done = work(db)
            self.fault.pass_by()
            return done

        self.fault.pass_by()
        done = await self.under.write(within)
        self.fault.pass_by()
        return done

    async def close(self) -> None:
        """As it is."""
        await self.under.close()


@dataclass(slots=True)
class FaultyBlobs:
    """Steps before and after each file."""

    under: Blobs
    fault: Fault

    async def put(self, file: Path, *, media_type: str) -> Blob:
        """With a step before it and one after."""
        self.fault.pass_by()
        blob = await self.under.put(file, media_type=media_type)
        self.fault.pass_by()
        return blob

    async def get(self, sha256: str, file: Path) -> None:
        """As it is."""
        await self.under.get(sha256, file)

    async def place(self, sha256: str, *, ttl_s: float) -> Path | str:
        """As it is."""
        return await self.under.place(sha256, ttl_s=ttl_s)

    async def delete(self, sha256: str) -> None:
        """As it is."""
        await self.under.delete(sha256)

    def list(self) -> AsyncIterator[Listed]:
        """As it is."""
        return self.under.list()
