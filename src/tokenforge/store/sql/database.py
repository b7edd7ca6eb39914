"""One SQLite file in WAL mode: a connection, its schema, its clock. Several processes share the file.

Each unit of work is one transaction in a thread, so the event loop never waits for a disk. Refuses to hide an error of
the disk: it becomes StoreFailed with the path.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tokenforge.domain.errors import StoreFailed
from tokenforge.store.migration import migrate
from tokenforge.store.sql.schema import MIGRATIONS

T = TypeVar("T")
_BUSY_LIMIT_S = 10.0
NOW_S = "((julianday('now') - 2440587.5) * 86400.0)"
"""The database's clock as Unix seconds, to the millisecond."""

NOW_TEXT = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
"""The database's clock as RFC 3339 UTC."""


class Database:
    """The file at `path`, opened at first use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a thread, without a transaction of its own."""
        return await asyncio.to_thread(self._run, work, is_writing=False)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one transaction: all of it is kept, or nothing when it raises."""
        return await asyncio.to_thread(self._run, work, is_writing=True)

    def close(self) -> None:
        """Close the file. Idempotent."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _run(self, work: Callable[[sqlite3.Connection], T], *, is_writing: bool) -> T:
        with self._lock:
            try:
                db = self._open()
                if not is_writing:
                    return work(db)
                db.execute("BEGIN IMMEDIATE")
                try:
                    done = work(db)
                except BaseException:
                    db.execute("ROLLBACK")
                    raise
                db.execute("COMMIT")
                return done
            except (sqlite3.Error, OSError) as error:
                raise StoreFailed(f"the database {self._path} failed: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(self._path, timeout=_BUSY_LIMIT_S, isolation_level=None, check_same_thread=False)
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA foreign_keys = ON")
                db.execute("PRAGMA synchronous = FULL")
                migrate(db, MIGRATIONS)
            except BaseException:
                db.close()
                raise
            self._connection = db
        return self._connection


def touch(db: sqlite3.Connection) -> None:
    """Say that something changed; part of the transaction that changed it."""
    db.execute("UPDATE change SET version = version + 1")
