"""Points at which a process that writes a run is killed or frozen: before and after each thing that it makes last.

A database and an artifact store are wrapped; each write and each file sent has its steps, with names. At the one that
was asked for the process kills or stops itself, as nothing in it expects.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tokenforge.store.blobs.base import Blob, Blobs, Listed
from tokenforge.store.sql.connection import Connection
from tokenforge.store.sql.database import Database

T = TypeVar("T")


@dataclass(slots=True)
class Fault:
    """Comes at the step named `at` (empty: never) with `number`, a signal; `within_s` after it began, where that says.

    `seen` gets the name of each step that was passed.
    """

    at: str = ""
    number: int = signal.SIGKILL
    within_s: float = 0.0
    seen: list[str] = field(default_factory=list)
    _times: Counter[str] = field(default_factory=Counter)

    def number_of(self, what: str) -> str:
        """`what`, and the how manieth it is."""
        self._times[what] += 1
        return f"{what} {self._times[what]}"

    def pass_by(self, step: str) -> None:
        """One step on."""
        self.seen.append(step)
        if step == self.at:
            self.strike()

    def strike(self) -> None:
        """The signal, now."""
        os.kill(os.getpid(), self.number)


@dataclass(slots=True)
class FaultyDatabase:
    """Steps before and after each write, and one within its transaction."""

    under: Database
    fault: Fault

    async def read(self, work: Callable[[Connection], T]) -> T:
        """As it is."""
        return await self.under.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Named by the method that writes, as `SqlKept.keep 1`."""
        name = self.fault.number_of(work.__qualname__.partition(".<locals>")[0])

        def within(db: Connection) -> T:
            done = work(db)
            self.fault.pass_by(f"{name} within")
            return done

        self.fault.pass_by(f"{name} before")
        done = await self.under.write(within)
        self.fault.pass_by(f"{name} after")
        return done

    async def close(self) -> None:
        """As it is."""
        await self.under.close()


@dataclass(slots=True)
class FaultyBlobs:
    """Steps before and after each file, and one while it is sent."""

    under: Blobs
    fault: Fault

    async def put(self, file: Path, *, media_type: str) -> Blob:
        """Named `put report.html`."""
        name = f"put {file.name}"
        self.fault.pass_by(f"{name} before")
        if self.fault.at == f"{name} during":
            asyncio.get_running_loop().call_later(self.fault.within_s, self.fault.strike)
        blob = await self.under.put(file, media_type=media_type)
        self.fault.pass_by(f"{name} after")
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
