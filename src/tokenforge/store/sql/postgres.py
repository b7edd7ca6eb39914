"""PostgreSQL through SQLAlchemy's async engine and psycopg 3; imported by a process only when it is told to use it.

Writers come one after another (an advisory lock a transaction), as in SQLite: what a unit of work read is true until it
commits, leases too. A writer that is frozen holds up nobody for long: the server ends a transaction that is idle. Every
wait has a limit, after which the caller gets StoreUnavailable and may try again.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tokenforge.domain.errors import StoreFailed, StoreUnavailable
from tokenforge.store.sql.connection import NONE, Connection, Rows, Values
from tokenforge.store.sql.database_url import shown_url, sqlalchemy_url
from tokenforge.store.sql.schema import must_migrate

T = TypeVar("T")

LIMIT_S = 10.0
"""How long one unit of work may take, its wait for a connection and for other writers included."""

_IDLE_LIMIT_MS = 2_000  # less than the lease of control: a frozen process loses its transaction before its lease
_CONNECT_LIMIT_S = 5
_POOL = 5
_WRITERS = 0x746F6B656E66  # one lock for all writers of this database
_SESSION = f"-c idle_in_transaction_session_timeout={_IDLE_LIMIT_MS} -c statement_timeout={int(LIMIT_S * 1000)}"


class PostgresConnection:
    """The port Connection over one of SQLAlchemy's."""

    now_s = "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"
    now_text = "to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"

    def __init__(self, raw: sa.Connection) -> None:
        self._raw = raw

    def execute(self, sql: str, values: Values = NONE) -> Rows:
        """Run one statement."""
        return cast("Rows", self._raw.execute(_text(sql), dict(values)))

    def execute_many(self, sql: str, rows: Sequence[Values]) -> None:
        """Run one statement for each row."""
        if rows:
            self._raw.execute(_text(sql), [dict(row) for row in rows])


class PostgresDatabase:
    """The database at `url` (`postgresql://...`). It serves the event loop that uses it first."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: AsyncEngine | None = None
        self._opening = asyncio.Lock()

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`; each statement sees what is committed."""
        return await self._run(work, is_writing=False)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction, alone."""
        return await self._run(work, is_writing=True)

    async def close(self) -> None:
        """Close its connections."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()

    async def _run(self, work: Callable[[Connection], T], *, is_writing: bool) -> T:
        try:
            engine = await self._open()
            async with asyncio.timeout(LIMIT_S), engine.connect() as raw:
                return await self._write(raw, work) if is_writing else await raw.run_sync(_on(work))
        except TimeoutError as error:
            message = f"the database {shown_url(self._url)} did not answer within {LIMIT_S:g} s"
            raise StoreUnavailable(message, hint="Look whether it is up and reachable") from error
        except sa.exc.SQLAlchemyError as error:
            raise failure(error, self._url) from error

    async def _write(self, raw: AsyncConnection, work: Callable[[Connection], T]) -> T:
        await raw.execution_options(isolation_level="READ COMMITTED")
        async with raw.begin():
            await raw.execute(_text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})
            return await raw.run_sync(_on(work))

    async def _open(self) -> AsyncEngine:
        async with self._opening:
            if self._engine is None:
                engine = make_engine(self._url)
                try:
                    async with asyncio.timeout(LIMIT_S), engine.connect() as raw:
                        version = await raw.run_sync(version_of)
                    if must_migrate(version, where=shown_url(self._url)):
                        from tokenforge.store.sql.migrate import migrate_postgres

                        await asyncio.to_thread(migrate_postgres, self._url)
                except BaseException:
                    await engine.dispose()
                    raise
                self._engine = engine
            return self._engine


def make_engine(url: str) -> AsyncEngine:
    """A small pool of connections; one that broke is replaced before it is used."""
    return create_async_engine(
        sqlalchemy_url(url),
        isolation_level="AUTOCOMMIT",
        pool_size=_POOL,
        max_overflow=_POOL,
        pool_timeout=LIMIT_S,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={"connect_timeout": _CONNECT_LIMIT_S, "options": _SESSION, "application_name": "tokenforge"},
    )


def version_of(raw: sa.Connection) -> str | None:
    """Which migration the database is at; None when none ran yet."""
    if raw.execute(_text("SELECT to_regclass('alembic_version')")).scalar() is None:
        return None
    return cast("str | None", raw.execute(_text("SELECT version_num FROM alembic_version")).scalar())


def failure(error: sa.exc.SQLAlchemyError, url: str) -> StoreFailed:
    """The error of a driver as ours: what the server said, which database, no value of any statement."""
    cause = getattr(error, "orig", None) or error
    message = f"the database {shown_url(url)} failed: {str(cause).strip().splitlines()[0]}"
    if isinstance(error, sa.exc.OperationalError | sa.exc.TimeoutError | sa.exc.InterfaceError):
        return StoreUnavailable(message, hint="Look whether it is up and reachable")
    if isinstance(error, sa.exc.InternalError) and getattr(error, "connection_invalidated", False):
        return StoreUnavailable(message)
    return StoreFailed(message)


def _on(work: Callable[[Connection], T]) -> Callable[[sa.Connection], T]:
    return lambda raw: work(PostgresConnection(raw))


@lru_cache(maxsize=512)
def _text(sql: str) -> sa.TextClause:
    return sa.text(sql)
