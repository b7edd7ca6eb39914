"""Queued benchmarks and their runs, in SQL."""

import json
from collections.abc import Collection, Mapping, Sequence

from tokenforge.domain.errors import LeaseLost, NotFound
from tokenforge.domain.queued import OPEN, QueuedBenchmark, QueuedRun
from tokenforge.domain.run import RunStatus, can_step
from tokenforge.store.base import IdempotencyKey, Lease
from tokenforge.store.sql.connection import Connection, Values, touch
from tokenforge.store.sql.database import Database
from tokenforge.store.sql.idempotency import made_by, remember
from tokenforge.store.sql.leases import require

_COLUMNS = "id, body, facts, created_at"
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

    async def list(self, *, limit: int, only_open: bool = False) -> tuple[QueuedBenchmark, ...]:
        """The newest first."""
        states = ", ".join(f"'{status}'" for status in sorted(OPEN))
        where = f"WHERE id IN (SELECT benchmark_id FROM queued_run WHERE status IN ({states}))" if only_open else ""
        order = "ORDER BY created_at DESC, id DESC LIMIT :most"

        def work(db: Connection) -> tuple[QueuedBenchmark, ...]:
            found = db.execute(f"SELECT {_COLUMNS} FROM queued_benchmark {where} {order}", {"most": limit}).fetchall()
            return _with_runs(db, found)

        return await self._database.read(work)

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
    row = db.execute(f"SELECT {_COLUMNS} FROM queued_benchmark WHERE id = :id", {"id": identity}).fetchone()
    if row is None:
        raise NotFound(f"there is no benchmark {identity}", hint="GET /runs lists what there is")
    return _with_runs(db, [row])[0]


def _with_runs(db: Connection, rows: Sequence[Sequence[str]]) -> tuple[QueuedBenchmark, ...]:
    """The benchmarks of these rows, their runs read at once."""
    values = {f"b{number}": row[0] for number, row in enumerate(rows)}
    places = ", ".join(f":{name}" for name in values)
    query = (
        "SELECT benchmark_id, id, model, runtime, workload, status, cause FROM queued_run"
        f" WHERE benchmark_id IN ({places}) ORDER BY benchmark_id, position"
    )
    runs: dict[str, list[QueuedRun]] = {}
    for r in db.execute(query, values) if values else ():
        run = QueuedRun(id=r[1], model=r[2], runtime=r[3], workload=r[4], status=RunStatus(r[5]), cause=r[6])
        runs.setdefault(r[0], []).append(run)
    return tuple(
        QueuedBenchmark(
            id=row[0], body=json.loads(row[1]), facts=json.loads(row[2]), created_at=row[3],
            runs=tuple(runs.get(row[0], ())),
        )
        for row in rows
    )  # fmt: skip
