"""The store of one machine: every port on one SQLite file."""

from dataclasses import dataclass
from pathlib import Path

from tokenforge.store.base import Benchmarks, Deployments, Events, Keys, Leases, Observations
from tokenforge.store.sql.benchmarks import SqlBenchmarks
from tokenforge.store.sql.database import Database
from tokenforge.store.sql.deployments import SqlDeployments
from tokenforge.store.sql.events import SqlEvents
from tokenforge.store.sql.keys import SqlKeys
from tokenforge.store.sql.leases import SqlLeases


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """What a process of the platform remembers with. `close` when done."""

    deployments: Deployments
    observations: Observations
    events: Events
    leases: Leases
    keys: Keys
    benchmarks: Benchmarks
    database: Database

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def open_store(path: Path) -> Store:
    """The store in the file at `path`; it is made at first use."""
    database = Database(path)
    deployments = SqlDeployments(database)
    return Store(
        deployments=deployments,
        observations=deployments,
        events=SqlEvents(database),
        leases=SqlLeases(database),
        keys=SqlKeys(database),
        benchmarks=SqlBenchmarks(database),
        database=database,
    )
