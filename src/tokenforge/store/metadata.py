"""What was run: one row per benchmark and per run in SQLite, so that past results are found again.

Numbers and records stay in the run's folder; a row points there. Refuses to be a second truth: a row can be rebuilt
from `record.json`.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tokenforge.domain.errors import StoreFailed
from tokenforge.store.migration import migrate

_MIGRATIONS = (
    """
    CREATE TABLE benchmark (
        id TEXT PRIMARY KEY, created_at TEXT NOT NULL, folder TEXT NOT NULL, spec_hash TEXT NOT NULL,
        headline TEXT NOT NULL
    );
    CREATE TABLE run (
        id TEXT PRIMARY KEY, benchmark_id TEXT NOT NULL REFERENCES benchmark(id) ON DELETE CASCADE,
        model TEXT NOT NULL, runtime TEXT NOT NULL, workload TEXT NOT NULL, status TEXT NOT NULL, cause TEXT
    );
    CREATE INDEX run_by_benchmark ON run(benchmark_id);
    CREATE INDEX benchmark_by_time ON benchmark(created_at DESC);
    """,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRow:
    """A past benchmark: when, where its files are, and its runs as (id, runtime, workload, status)."""

    id: str
    created_at: str
    folder: str
    headline: str
    runs: tuple[tuple[str, str, str, str], ...]


class Metadata:
    """The embedded database at `path`. Each call is its own transaction; several processes may share the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def remember(self, document: Mapping[str, object], *, folder: Path, headline: str) -> None:
        """Store (or replace) the rows of one `record.json`. Raises StoreFailed."""
        with self._open() as db:
            row = (document["id"], document["created_at"], str(folder), document["spec_hash"], headline)
            db.execute("DELETE FROM benchmark WHERE id = ?", (document["id"],))
            db.execute("INSERT INTO benchmark VALUES (?, ?, ?, ?, ?)", row)
            runs = document["runs"]
            assert isinstance(runs, list)
            names = ("id", "model", "runtime", "workload", "status", "cause")
            rows = [(run["id"], document["id"], *(run[name] for name in names[1:])) for run in runs]
            db.executemany("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def recent(self, *, limit: int = 20) -> tuple[BenchmarkRow, ...]:
        """The newest benchmarks first."""
        query = """
            SELECT b.id, b.created_at, b.folder, b.headline,
                   json_group_array(json_array(r.id, r.runtime, r.workload, r.status))
            FROM (SELECT * FROM benchmark ORDER BY created_at DESC LIMIT ?) b JOIN run r ON r.benchmark_id = b.id
            GROUP BY b.id ORDER BY b.created_at DESC
        """
        with self._open() as db:
            return tuple(
                BenchmarkRow(
                    id=row[0],
                    created_at=row[1],
                    folder=row[2],
                    headline=row[3],
                    runs=tuple((str(a), str(b), str(c), str(d)) for a, b, c, d in json.loads(row[4])),
                )
                for row in db.execute(query, (limit,))
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=10)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA foreign_keys = ON")
                migrate(db, _MIGRATIONS)
                with db:
                    yield db
        except (sqlite3.Error, OSError) as error:
            raise StoreFailed(f"the run database {self._path} failed: {error}") from error
