"""The port to a database: units of work, each whole or not at all, one writer at a time.

SQLite and PostgreSQL keep it the same way, so that no work has to think of another that writes between its lines. An
error of the disk or of the network becomes StoreFailed or StoreUnavailable, without a password in it.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from tokenforge.store.sql.connection import Connection

T = TypeVar("T")


class Database(Protocol):
    """Opened, and its schema brought up to date, at first use."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads."""
        ...

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction: all of it is kept, or nothing when it raises."""
        ...

    async def close(self) -> None:
        """Let go of it. Idempotent; the next use opens it again."""
        ...
