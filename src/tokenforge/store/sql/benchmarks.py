"""Queued benchmarks and their runs, in SQL."""

import json
from collections.abc import Collection, Mapping

from tokenforge.domain.errors import LeaseLost, NotFound
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.domain.run import RunStatus, can_step
from tokenforge.store.base import IdempotencyKey, Lease
from tokenforge.store.sql.connection import Connection, Values, touch
from tokenforge.store.sql.database import Database
from tokenforge.store.sql.idempotency import made_by, remember
from tokenforge.store.sql.leases import require

_INSERT_RUN = (
    "INSERT INTO queued_run (id, benchmark_id, position, model, runtime, workload, status, cause)"
    " VALUES (:id, :benchmark_id, :position, :model, :runtime, :workload, :status, :cause)"
)


class SqlBenchmarks:
    """The port Benchmarks on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enqueue(self, benchmark: QueuedBenchmark, *, idempotency: IdempotencyKey | None) -> QueuedBenchmark:
        """Keep a new one, or give back the one that the key made. Raises KeyReused."""

        def work(db: Connection) -> QueuedBenchmark:
            made = made_by(db, idempotency, among="queued_benchmark")
            if made is not None:
                return _get(db, made)
            body, facts = json.dumps(dict(benchmark.body)), json.dumps(dict(benchmark.facts))
            insert = "INSERT INTO queued_benchmark (id, body, facts, created_at)"
            values = {"id": benchmark.id, "body": body, "facts": facts}
            db.execute(f"{insert} VALUES (:id, :body, :facts, {db.now_text})", values)
            db.execute_many(_INSERT_RUN, [_run_values(benchmark, number) for number in range(len(benchmark.runs))])
            remember(db, idempotency, made=benchmark.id)
            touch(db)
            return _get(db, benchmark.id)

        return await self._database.write(work)

    async def get(self, identity: str) -> QueuedBenchmark:
        """Raises NotFound."""
        return await self._database.read(lambda db: _get(db, identity))

    async def list(self, *, limit: int) -> tuple[QueuedBenchmark, ...]:
        """The newest first."""
        query = "SELECT id FROM queued_benchmark ORDER BY created_at DESC, id DESC LIMIT :most"
        return await self._database.read(
            lambda db: tuple(_get(db, row[0]) for row in db.execute(query, {"most": limit}).fetchall())
        )

    async def find_run(self, run_id: str) -> tuple[QueuedBenchmark, QueuedRun]:
        """A run and its benchmark. Raises NotFound."""

        def work(db: Connection) -> tuple[QueuedBenchmark, QueuedRun]:
            row = db.execute("SELECT benchmark_id FROM queued_run WHERE id = :id", {"id": run_id}).fetchone()
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

        def work(db: Connection) -> QueuedBenchmark:
            if lease is not None:
                require(db, lease)
            elif to is not RunStatus.CANCELLED:
                raise LeaseLost(f"a run goes to {to} by control alone")
            now = _get(db, identity)
            stepping = [
                {"status": str(to), "cause": cause, "id": run.id}
                for run in now.runs
                if can_step(run.status, to) and (runs is None or run.id in runs)
            ]
            db.execute_many("UPDATE queued_run SET status = :status, cause = :cause WHERE id = :id", stepping)
            if facts:
                kept = json.dumps({**now.facts, **facts})
                values = {"facts": kept, "id": identity}
                db.execute("UPDATE queued_benchmark SET facts = :facts WHERE id = :id", values)
            touch(db)
            return _get(db, identity)

        return await self._database.write(work)


def _run_values(benchmark: QueuedBenchmark, position: int) -> Values:
    run = benchmark.runs[position]
    return {
        "id": run.id, "benchmark_id": benchmark.id, "position": position, "model": run.model, "runtime": run.runtime,
        "workload": run.workload, "status": str(run.status), "cause": run.cause,
    }  # fmt: skip


def _get(db: Connection, identity: str) -> QueuedBenchmark:
    values = {"id": identity}
    row = db.execute("SELECT body, facts, created_at FROM queued_benchmark WHERE id = :id", values).fetchone()
    if row is None:
        raise NotFound(f"there is no benchmark {identity}", hint="GET /runs lists what there is")
    columns = "id, model, runtime, workload, status, cause"
    runs = db.execute(f"SELECT {columns} FROM queued_run WHERE benchmark_id = :id ORDER BY position", values)
    return QueuedBenchmark(
        id=identity, body=json.loads(row[0]), facts=json.loads(row[1]), created_at=row[2],
        runs=tuple(
            QueuedRun(id=r[0], model=r[1], runtime=r[2], workload=r[3], status=RunStatus(r[4]), cause=r[5])
            for r in runs
        ),
    )  # fmt: skip
