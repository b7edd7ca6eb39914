"""Every port on one database: a SQLite file of this machine, or PostgreSQL."""

from dataclasses import dataclass
from pathlib import Path

from tokenforge.store.base import (
    Benchmarks,
    BlobRows,
    Demands,
    Deployments,
    Events,
    Kept,
    Keys,
    Leases,
    Observations,
)
from tokenforge.store.sql.benchmarks import SqlBenchmarks
from tokenforge.store.sql.database import Database
from tokenforge.store.sql.demands import SqlDemands
from tokenforge.store.sql.deployments import SqlDeployments
from tokenforge.store.sql.events import SqlEvents
from tokenforge.store.sql.kept import SqlKept
from tokenforge.store.sql.keys import SqlKeys
from tokenforge.store.sql.leases import SqlLeases
from tokenforge.store.sql.sqlite import SqliteDatabase


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """What a process of the platform remembers with. `close` when done."""

    deployments: Deployments
    observations: Observations
    events: Events
    leases: Leases
    keys: Keys
    benchmarks: Benchmarks
    demands: Demands
    kept: Kept
    blobs: BlobRows
    database: Database

    async def close(self) -> None:
        """Close the database."""
        await self.database.close()


def open_store(place: Path | str) -> Store:
    """The store in the SQLite file at a path, or at a `postgresql://` URL; it is made at first use."""
    return store_on(SqliteDatabase(place) if isinstance(place, Path) else _postgres(place))


def store_on(database: Database) -> Store:
    """Every port on this database."""
    deployments, kept = SqlDeployments(database), SqlKept(database)
    return Store(
        deployments=deployments,
        observations=deployments,
        events=SqlEvents(database),
        leases=SqlLeases(database),
        keys=SqlKeys(database),
        benchmarks=SqlBenchmarks(database),
        demands=SqlDemands(database),
        kept=kept,
        blobs=kept,
        database=database,
    )


def _postgres(url: str) -> Database:
    from tokenforge.store.sql.postgres import PostgresDatabase  # half a second, for those who need it

    return PostgresDatabase(url)
