"""What a version of the store says to its database, as data: recorded while it was the newest, and said again later.

    PYTHONPATH=src:tests/integration python tests/integration/old_statements.py > tests/integration/statements_NNNN.json

Run it before a migration is added, NNNN being the schema until then: processes of that version will work with the new
schema while they are replaced. One use of every port is recorded, statement by statement with what came back; the
database's clock stands as `{now_s}` and `{now_text}`, and times that came back as `time`.
"""

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tokenforge.domain.api_key import ApiKey
from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import DeploymentId, DeploymentSpec
from tokenforge.domain.deployment_state import Observed, Phase
from tokenforge.domain.model import parse_model
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.domain.run import RunStatus
from tokenforge.domain.runtime import parse_runtime
from tokenforge.store.base import IdempotencyKey
from tokenforge.store.sql.connection import NONE, Connection, Rows, Values
from tokenforge.store.sql.database import Database
from tokenforge.store.sql.store import Store, open_store, store_on

T = TypeVar("T")
Said = dict[str, Any]
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass(slots=True)
class _Found:
    """Rows that were read already."""

    rowcount: int
    rows: list[Any]

    def fetchone(self) -> Any:
        return self.rows.pop(0) if self.rows else None

    def fetchall(self) -> Sequence[Any]:
        left, self.rows = self.rows, []
        return left

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())


@dataclass(slots=True)
class _Recording:
    """The port Connection; its clock stands as words until a statement is run."""

    under: Connection
    said: list[Said]
    now_s: str = "{now_s}"
    now_text: str = "{now_text}"

    def execute(self, sql: str, values: Values = NONE) -> Rows:
        found, rows = run(self.under, sql, values)
        self.said.append({"sql": sql, "values": dict(values), "rows": [plain(row) for row in rows]})
        return _Found(found, rows)

    def execute_many(self, sql: str, rows: Sequence[Values]) -> None:
        self.under.execute_many(with_clock(self.under, sql), rows)
        self.said.append({"sql": sql, "many": [dict(row) for row in rows]})


@dataclass(slots=True)
class Recorder:
    """The port Database; `units` gets each unit of work with its statements."""

    under: Database
    units: list[Said] = field(default_factory=list)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self.under.read(lambda db: work(self._unit(db, is_writing=False)))

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self.under.write(lambda db: work(self._unit(db, is_writing=True)))

    async def close(self) -> None:
        await self.under.close()

    def _unit(self, db: Connection, *, is_writing: bool) -> Connection:
        said: list[Said] = []
        self.units.append({"is_writing": is_writing, "said": said})
        return _Recording(db, said)


def run(db: Connection, sql: str, values: Values) -> tuple[int, list[Any]]:
    """Run one statement: how many rows it changed, and those it gave."""
    found = db.execute(with_clock(db, sql), values)
    gives_rows = sql.lstrip().upper().startswith(("SELECT", "WITH")) or "RETURNING" in sql.upper()
    return found.rowcount, [tuple(row) for row in found.fetchall()] if gives_rows else []


def plain(row: Sequence[Any]) -> list[Any]:
    """A row without times; whether a number is whole is the database's own matter."""
    return [_plain(value) for value in row]


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _TIME.sub("time", value)
    if isinstance(value, float):
        return "time" if value > 1e9 else round(value, 6)
    return int(value) if isinstance(value, bool) else value


def with_clock(db: Connection, sql: str) -> str:
    return sql.replace("{now_s}", db.now_s).replace("{now_text}", db.now_text)


async def use(store: Store) -> None:
    """Every port but that of what is kept once each, as the platform uses it."""
    spec = DeploymentSpec(name="tiny", model=parse_model("synthetic:tiny"), runtime=parse_runtime("sim"))
    key, one = IdempotencyKey(key="k", body_sha256="0" * 64), DeploymentId("d1")
    lease = await store.leases.acquire("control", owner="a", ttl_s=3600)
    assert lease is not None
    for _ in range(2):
        await store.deployments.create(spec, identity=one, idempotency=key, is_name_chosen=True)
    await store.deployments.create(spec, identity=DeploymentId("d2"), idempotency=None, is_name_chosen=False)
    await store.observations.observe(one, Observed(generation=1, phase=Phase.READY), lease=lease)
    await store.deployments.change(one, lambda old: old)
    await store.deployments.list()
    await store.demands.report("g", {one: Demand(in_flight=1, waiting=2)}, ttl_s=3600)
    await store.demands.all()
    await store.events.append("d1", reason="Tick", message="hello")
    await store.events.after("d1", seq=0, limit=9)
    await store.keys.add(
        ApiKey(id="i", name="ci", sha256="a" * 64, scopes=frozenset(), created_at="2026-01-01T00:00:00Z")
    )
    await store.keys.list()
    await _use_benchmarks(store)
    await store.keys.revoke("ci")
    await store.deployments.delete(one)
    await store.observations.remove(one, lease=lease)
    await store.observations.version()
    await store.leases.release(lease)


async def _use_benchmarks(store: Store) -> None:
    lease = await store.leases.acquire("control", owner="a", ttl_s=3600)
    run = QueuedRun(id="r1", model="m", runtime="sim", workload="w")
    asked = QueuedBenchmark(id="b1", body={"a": 1}, runs=(run,), created_at="")
    for _ in range(2):
        await store.benchmarks.enqueue(asked, idempotency=IdempotencyKey(key="b", body_sha256="1" * 64))
    await store.benchmarks.list(limit=9)
    await store.benchmarks.step("b1", to=RunStatus.PREPARING, lease=lease, facts={"folder": "f"})
    await store.benchmarks.step("b1", to=RunStatus.RUNNING, lease=lease)
    await store.benchmarks.find_run("r1")
    await store.benchmarks.step("b1", to=RunStatus.SUCCEEDED, lease=lease, cause="")
    await store.benchmarks.list(limit=9)


async def record() -> list[Said]:
    """The units of work of one use, on a new SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(open_store(Path(folder) / "store.db").database)
        store = store_on(recorder)
        await use(store)
        await store.close()
        return recorder.units


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(record()), indent=0) + "\n")
