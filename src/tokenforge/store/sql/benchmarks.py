"""Queued benchmarks and their runs, in SQL."""

import json
import sqlite3
from collections.abc import Collection, Mapping

from tokenforge.domain.errors import LeaseLost, NotFound
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.domain.run import RunStatus, can_step
from tokenforge.store.base import IdempotencyKey, Lease
from tokenforge.store.sql.database import NOW_TEXT, Database, touch
from tokenforge.store.sql.idempotency import made_by, remember
from tokenforge.store.sql.leases import require


class SqlBenchmarks:
    """The port Benchmarks on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enqueue(self, benchmark: QueuedBenchmark, *, idempotency: IdempotencyKey | None) -> QueuedBenchmark:
        """Keep a new one, or give back the one that the key made. Raises KeyReused."""

        def work(db: sqlite3.Connection) -> QueuedBenchmark:
            made = made_by(db, idempotency, among="queued_benchmark")
            if made is not None:
                return _get(db, made)
            values = (benchmark.id, json.dumps(dict(benchmark.body)), json.dumps(dict(benchmark.facts)))
            db.execute(
                f"INSERT INTO queued_benchmark (id, body, facts, created_at) VALUES (?, ?, ?, {NOW_TEXT})", values
            )
            rows = [
                (run.id, benchmark.id, position, run.model, run.runtime, run.workload, run.status, run.cause)
                for position, run in enumerate(benchmark.runs)
            ]
            db.executemany("INSERT INTO queued_run VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            remember(db, idempotency, made=benchmark.id)
            touch(db)
            return _get(db, benchmark.id)

        return await self._database.write(work)

    async def get(self, identity: str) -> QueuedBenchmark:
        """Raises NotFound."""
        return await self._database.read(lambda db: _get(db, identity))

    async def list(self, *, limit: int) -> tuple[QueuedBenchmark, ...]:
        """The newest first."""
        query = "SELECT id FROM queued_benchmark ORDER BY created_at DESC, id DESC LIMIT ?"
        return await self._database.read(
            lambda db: tuple(_get(db, row[0]) for row in db.execute(query, (limit,)).fetchall())
        )

    async def find_run(self, run_id: str) -> tuple[QueuedBenchmark, QueuedRun]:
        """A run and its benchmark. Raises NotFound."""

        def work(db: sqlite3.Connection) -> tuple[QueuedBenchmark, QueuedRun]:
            row = db.execute("SELECT benchmark_id FROM queued_run WHERE id = ?", (run_id,)).fetchone()
            if row is None:
                raise NotFound(f"there is no run {run_id}", hint="GET /runs lists them")
            benchmark = _get(db, row[0])
            return benchmark, next(run for run in benchmark.runs if run.id == run_id)

        return await self._database.read(work)

    async def step(
        self,
        identity: str,
        *,
        to: RunStatus,
        lease: Lease | None,
        cause: str = "",
        facts: Mapping[str, str] | None = None,
        runs: Collection[str] | None = None,
    ) -> QueuedBenchmark:
        """Take every run that may go there. Raises NotFound, LeaseLost."""

        def work(db: sqlite3.Connection) -> QueuedBenchmark:
            if lease is not None:
                require(db, lease)
            elif to is not RunStatus.CANCELLED:
                raise LeaseLost(f"a run goes to {to} by control alone")
            now = _get(db, identity)
            stepping = [
                (to, cause, run.id) for run in now.runs if can_step(run.status, to) and (runs is None or run.id in runs)
            ]
            db.executemany("UPDATE queued_run SET status = ?, cause = ? WHERE id = ?", stepping)
            if facts:
                kept = json.dumps({**now.facts, **facts})
                db.execute("UPDATE queued_benchmark SET facts = ? WHERE id = ?", (kept, identity))
            touch(db)
            return _get(db, identity)

        return await self._database.write(work)


def _get(db: sqlite3.Connection, identity: str) -> QueuedBenchmark:
    row = db.execute("SELECT body, facts, created_at FROM queued_benchmark WHERE id = ?", (identity,)).fetchone()
    if row is None:
        raise NotFound(f"there is no benchmark {identity}", hint="GET /runs lists what there is")
    columns = "id, model, runtime, workload, status, cause"
    runs = db.execute(f"SELECT {columns} FROM queued_run WHERE benchmark_id = ? ORDER BY position", (identity,))
    return QueuedBenchmark(
        id=identity, body=json.loads(row[0]), facts=json.loads(row[1]), created_at=row[2],
        runs=tuple(
            QueuedRun(id=r[0], model=r[1], runtime=r[2], workload=r[3], status=RunStatus(r[4]), cause=r[5])
            for r in runs
        ),
    )  # fmt: skip
