"""One SQLite file in WAL mode, shared by several processes of one machine.

Each unit of work runs in a thread, so the event loop never waits for a disk. Standard library only: the embedded store
must cost a process nothing to import.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from tokenforge.domain.errors import StoreFailed
from tokenforge.store.sql.connection import NONE, Connection, Rows, Values
from tokenforge.store.sql.schema import HEAD, must_migrate

T = TypeVar("T")
_BUSY_LIMIT_S = 10.0


class SqliteConnection:
    """The port Connection over the standard library's own."""

    now_s = "((julianday('now') - 2440587.5) * 86400.0)"
    now_text = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    def execute(self, sql: str, values: Values = NONE) -> Rows:
        """Run one statement."""
        return self._raw.execute(sql, dict(values))

    def execute_many(self, sql: str, rows: Sequence[Values]) -> None:
        """Run one statement for each row."""
        self._raw.executemany(sql, [dict(row) for row in rows])


class SqliteDatabase:
    """The file at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._raw: sqlite3.Connection | None = None

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a thread, without a transaction of its own."""
        return await asyncio.to_thread(self._run, work, is_writing=False)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction."""
        return await asyncio.to_thread(self._run, work, is_writing=True)

    async def close(self) -> None:
        """Close the file."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            if self._raw is not None:
                self._raw.close()
                self._raw = None

    def _run(self, work: Callable[[Connection], T], *, is_writing: bool) -> T:
        with self._lock:
            try:
                raw = self._open()
                if not is_writing:
                    return work(SqliteConnection(raw))
                raw.execute("BEGIN IMMEDIATE")
                try:
                    done = work(SqliteConnection(raw))
                    raw.execute("COMMIT")
                except BaseException:
                    if raw.in_transaction:  # a full disk has ended it already
                        raw.execute("ROLLBACK")
                    raise
                return done
            except (sqlite3.Error, OSError) as error:
                raise StoreFailed(f"the database {self._path} failed: {error}") from error

    def _open(self) -> sqlite3.Connection:
        if self._raw is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            raw = open_file(self._path)
            try:
                _make_current(raw, self._path)
            except BaseException:
                raw.close()
                raise
            self._raw = raw
        return self._raw


def open_file(path: Path) -> sqlite3.Connection:
    """A connection as all here use it: WAL, every commit on the disk, transactions begun by hand."""
    raw = sqlite3.connect(path, timeout=_BUSY_LIMIT_S, isolation_level=None, check_same_thread=False)
    try:
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA foreign_keys = ON")
        raw.execute("PRAGMA synchronous = FULL")
    except BaseException:
        raw.close()
        raise
    return raw


def _make_current(raw: sqlite3.Connection, path: Path) -> None:
    """Bring the schema to the newest. A new file gets it whole; an old one is migrated, and pays for that import."""
    if not must_migrate(_version(raw), where=str(path)):
        return
    raw.execute("BEGIN IMMEDIATE")
    is_new = raw.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if is_new:
        for statement in filter(str.strip, files("tokenforge.store.sql").joinpath("head.sql").read_text().split(";")):
            raw.execute(statement)
    raw.execute("COMMIT")
    if not is_new:
        from tokenforge.store.sql.migrate import migrate_sqlite

        migrate_sqlite(path)


def _version(raw: sqlite3.Connection) -> str | None:
    try:
        row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:  # no such table: a new file, or one from before
        return None
    return None if row is None else str(row[0])


def is_current(raw: sqlite3.Connection) -> bool:
    """Whether the file has the newest schema."""
    return _version(raw) == HEAD
