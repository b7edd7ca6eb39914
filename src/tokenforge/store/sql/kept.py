"""Benchmarks that were measured, and their artifacts, in SQL."""

import json
from collections.abc import Mapping, Sequence

from tokenforge.domain.canonical import sha256_hex
from tokenforge.domain.errors import NotFound, StoreFailed, StoreUnavailable
from tokenforge.domain.kept import Artifact, KeptBenchmark, KeptRun, KeptTrial
from tokenforge.domain.run import RunStatus
from tokenforge.store.base import Ending, Lease, RunFilter
from tokenforge.store.sql.connection import Connection, Values, touch
from tokenforge.store.sql.database import Database
from tokenforge.store.sql.ending import end_queued
from tokenforge.store.sql.leases import require

_BENCHMARK = "id, created_at, spec_hash, headline, verdict, folder, queued_id, environment_id"
_RUN = "id, benchmark_id, position, created_at, model, runtime, workload, status, cause"
_TRIAL = "run_id, number, trial, position, plan_digest, planned_requests, started_at, duration_s"
REMOVING_S = 600
"""A removal of bytes that was begun longer ago has ended, one way or another."""


class SqlKept:
    """The ports Kept and BlobRows on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, kept: KeptBenchmark, *, lease: Lease | None = None, ending: Ending | None = None) -> None:
        """Keep it with its runs, trials and artifacts, and end the queued one that it answers, all in one step."""

        def work(db: Connection) -> None:
            if lease is not None:
                require(db, lease)
            values = _benchmark_values(db, kept)
            if kept.queued_id is None:  # imported over itself it still answers what it answered
                values = {**values, "queued_id": _answered(db, kept.id)}
            db.execute("DELETE FROM benchmark WHERE id = :id OR queued_id = :queued", _owner(kept))
            db.execute(_insert("benchmark", _BENCHMARK), values)
            db.execute_many(_insert("run", _RUN), _run_values(kept))
            db.execute_many(_insert("trial", _TRIAL), _trial_values(kept))
            for artifact in kept.artifacts:
                _attach(db, kept.id, artifact)
            if ending is not None:
                end_queued(db, ending)
            touch(db)

        await self._database.write(work)

    async def recent(self, *, limit: int, only: RunFilter | None = None) -> tuple[KeptBenchmark, ...]:
        """The newest benchmarks, of which a run fits `only`; without trials and environment."""

        def work(db: Connection) -> tuple[KeptBenchmark, ...]:
            where, values = _where(only)
            query = f"SELECT {_BENCHMARK} FROM benchmark b {where} ORDER BY created_at DESC, id DESC LIMIT :most"
            found = db.execute(query, {**values, "most": limit}).fetchall()
            runs = _runs_of(db, [row[0] for row in found])
            return tuple(_row(row, runs=runs.get(row[0], ())) for row in found)

        return await self._database.read(work)

    async def find(self, identity: str) -> KeptBenchmark:
        """By its own id, a run's, or those of the queued benchmark that it answers; whole. Raises NotFound."""

        def work(db: Connection) -> KeptBenchmark:
            query = (
                f"SELECT {_BENCHMARK} FROM benchmark WHERE id = :id OR queued_id = :id"
                " OR id = (SELECT benchmark_id FROM run WHERE id = :id)"
                " OR queued_id = (SELECT benchmark_id FROM queued_run WHERE id = :id)"
            )
            row = db.execute(query, {"id": identity}).fetchone()
            if row is None:
                raise NotFound(f"there is no measured benchmark or run {identity}", hint="tokenforge runs lists them")
            runs = tuple(_with_trials(db, run) for run in _runs_of(db, [row[0]]).get(row[0], ()))
            return _row(row, runs=runs, artifacts=_artifacts(db, row[0]), environment=_environment(db, row[7]))

        return await self._database.read(work)

    async def forget(self, *, before: str, beyond: int | None, limit: int) -> int:
        """Forget benchmarks older than `before` (RFC 3339), or beyond the newest `beyond`; how many."""

        def work(db: Connection) -> int:
            newest = "SELECT id FROM benchmark ORDER BY created_at DESC, id DESC LIMIT :beyond"
            old = "created_at < :before" + ("" if beyond is None else f" OR id NOT IN ({newest})")
            chosen = f"SELECT id FROM benchmark WHERE {old} ORDER BY created_at LIMIT :most"
            values = {"before": before, "most": limit, **({} if beyond is None else {"beyond": beyond})}
            gone = db.execute(f"DELETE FROM benchmark WHERE id IN ({chosen})", values).rowcount
            db.execute("DELETE FROM environment WHERE id NOT IN (SELECT environment_id FROM benchmark"
                       " WHERE environment_id IS NOT NULL)")  # fmt: skip
            return gone

        return await self._database.write(work)

    async def claim(self, artifacts: Sequence[Artifact]) -> None:
        """Say that these bytes are about to be sent. Raises StoreUnavailable while some are being removed."""

        def work(db: Connection) -> None:
            for one in artifacts:
                row = db.execute(_BEING_REMOVED.format(now=db.now_s), {"sha256": one.sha256}).fetchone()
                if row is not None:
                    raise StoreUnavailable(f"the artifact {one.sha256} is being removed at this moment")
                db.execute(
                    "INSERT INTO blob (sha256, size_bytes, media_type, kept_at_s)"
                    f" VALUES (:sha256, :size_bytes, :media_type, {db.now_s}) ON CONFLICT (sha256)"
                    f" DO UPDATE SET kept_at_s = {db.now_s}, removing_since_s = NULL",
                    {"sha256": one.sha256, "size_bytes": one.size_bytes, "media_type": one.media_type},
                )

        await self._database.write(work)

    async def unneeded(self, *, limit: int, grace_s: float) -> tuple[str, ...]:
        """Blobs that no artifact needs, from now on being removed: nobody may claim them until `removed`."""

        def work(db: Connection) -> tuple[str, ...]:
            query = (
                f"SELECT sha256 FROM blob b WHERE kept_at_s < {db.now_s} - :grace"
                " AND NOT EXISTS (SELECT 1 FROM artifact a WHERE a.sha256 = b.sha256) LIMIT :most"
            )
            found = [row[0] for row in db.execute(query, {"grace": grace_s, "most": limit}).fetchall()]
            mark = f"UPDATE blob SET removing_since_s = {db.now_s} WHERE sha256 = :sha256"
            db.execute_many(mark, [{"sha256": sha256} for sha256 in found])
            return tuple(found)

        return await self._database.write(work)

    async def removed(self, blobs: Sequence[str]) -> None:
        """Their bytes are gone: forget them."""
        gone = "DELETE FROM blob WHERE sha256 = :sha256 AND removing_since_s IS NOT NULL"
        await self._database.write(lambda db: db.execute_many(gone, [{"sha256": sha256} for sha256 in blobs]))


_BEING_REMOVED = f"SELECT 1 FROM blob WHERE sha256 = :sha256 AND removing_since_s > {{now}} - {REMOVING_S}"


def _insert(table: str, columns: str) -> str:
    places = ", ".join(f":{name}" for name in columns.split(", "))
    return f"INSERT INTO {table} ({columns}) VALUES ({places})"


def _owner(kept: KeptBenchmark) -> Values:
    return {"id": kept.id, "queued": kept.queued_id}


def _answered(db: Connection, identity: str) -> str | None:
    """The queued benchmark that a kept one answers."""
    row = db.execute("SELECT queued_id FROM benchmark WHERE id = :id", {"id": identity}).fetchone()
    return None if row is None else row[0]


def _benchmark_values(db: Connection, kept: KeptBenchmark) -> Values:
    environment_id = None
    if kept.environment is not None:
        environment_id = sha256_hex(kept.environment)
        values = {"id": environment_id, "document": json.dumps(dict(kept.environment))}
        db.execute("INSERT INTO environment (id, document) VALUES (:id, :document) ON CONFLICT DO NOTHING", values)
    return {
        "id": kept.id, "created_at": kept.created_at, "spec_hash": kept.spec_hash, "headline": kept.headline,
        "verdict": kept.verdict, "folder": kept.folder, "queued_id": kept.queued_id, "environment_id": environment_id,
    }  # fmt: skip


def _run_values(kept: KeptBenchmark) -> list[Values]:
    return [
        {"id": run.id, "benchmark_id": kept.id, "position": position, "created_at": kept.created_at,
         "model": run.model, "runtime": run.runtime, "workload": run.workload, "status": str(run.status),
         "cause": run.cause}
        for position, run in enumerate(kept.runs)
    ]  # fmt: skip


def _trial_values(kept: KeptBenchmark) -> list[Values]:
    return [
        {"run_id": run.id, "number": number, "trial": one.trial, "position": one.position,
         "plan_digest": one.plan_digest, "planned_requests": one.planned_requests, "started_at": one.started_at,
         "duration_s": one.duration_s}
        for run in kept.runs
        for number, one in enumerate(run.trials)
    ]  # fmt: skip


def _attach(db: Connection, benchmark: str, artifact: Artifact) -> None:
    """Only to bytes that were claimed and are not being removed."""
    there = "SELECT 1 FROM blob WHERE sha256 = :sha256 AND removing_since_s IS NULL"
    if db.execute(there, {"sha256": artifact.sha256}).fetchone() is None:
        raise StoreFailed(f"the artifact {artifact.name} was not sent before it was named")
    values = {"benchmark": benchmark, "name": artifact.name, "sha256": artifact.sha256}
    db.execute("INSERT INTO artifact (benchmark_id, name, sha256) VALUES (:benchmark, :name, :sha256)", values)


def _where(only: RunFilter | None) -> tuple[str, dict[str, object]]:
    asked = {} if only is None else {
        name: value
        for name, value in (("model", only.model), ("runtime", only.runtime), ("status", only.status))
        if value is not None
    }  # fmt: skip
    if not asked:
        return "", {}
    tests = " AND ".join(f"r.{name} = :{name}" for name in asked)
    values = {name: str(value) for name, value in asked.items()}
    return f"WHERE EXISTS (SELECT 1 FROM run r WHERE r.benchmark_id = b.id AND {tests})", dict(values)


def _runs_of(db: Connection, benchmarks: Sequence[str]) -> dict[str, tuple[KeptRun, ...]]:
    if not benchmarks:
        return {}
    places = ", ".join(f":b{number}" for number in range(len(benchmarks)))
    values = {f"b{number}": identity for number, identity in enumerate(benchmarks)}
    query = f"SELECT {_RUN} FROM run WHERE benchmark_id IN ({places}) ORDER BY benchmark_id, position"
    found: dict[str, tuple[KeptRun, ...]] = {}
    for row in db.execute(query, values):
        run = KeptRun(id=row[0], model=row[4], runtime=row[5], workload=row[6], status=RunStatus(row[7]), cause=row[8])
        found[row[1]] = (*found.get(row[1], ()), run)
    return found


def _with_trials(db: Connection, run: KeptRun) -> KeptRun:
    query = f"SELECT {_TRIAL} FROM trial WHERE run_id = :id ORDER BY number"
    trials = tuple(
        KeptTrial(
            trial=row[2], position=row[3], plan_digest=row[4], planned_requests=row[5], started_at=row[6],
            duration_s=row[7],
        )
        for row in db.execute(query, {"id": run.id})
    )  # fmt: skip
    return KeptRun(
        id=run.id, model=run.model, runtime=run.runtime, workload=run.workload, status=run.status, cause=run.cause,
        trials=trials,
    )  # fmt: skip


def _artifacts(db: Connection, benchmark: str) -> tuple[Artifact, ...]:
    query = (
        "SELECT a.name, a.sha256, b.size_bytes, b.media_type FROM artifact a JOIN blob b ON b.sha256 = a.sha256"
        " WHERE a.benchmark_id = :id ORDER BY a.name"
    )
    rows = db.execute(query, {"id": benchmark})
    return tuple(Artifact(name=row[0], sha256=row[1], size_bytes=row[2], media_type=row[3]) for row in rows)


def _environment(db: Connection, identity: str | None) -> Mapping[str, object] | None:
    row = db.execute("SELECT document FROM environment WHERE id = :id", {"id": identity}).fetchone()
    return None if row is None else dict(json.loads(row[0]))


def _row(
    row: Sequence[str], *, runs: tuple[KeptRun, ...], artifacts: tuple[Artifact, ...] = (),
    environment: Mapping[str, object] | None = None,
) -> KeptBenchmark:  # fmt: skip
    return KeptBenchmark(
        id=row[0], created_at=row[1], spec_hash=row[2], headline=row[3], verdict=row[4], folder=row[5],
        queued_id=row[6] or None, runs=runs, artifacts=artifacts, environment=environment,
    )  # fmt: skip
