"""The first schema as it was released, before migrations had numbers, and something in it."""

import json
from collections.abc import Callable

from tokenforge.domain.deployment import DeploymentSpec
from tokenforge.domain.deployment_state import Observed
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import parse_runtime
from tokenforge.protocol.deployment_answer import observed_to_stored, spec_to_stored

FIRST_SCRIPT = """
    CREATE TABLE change (version INTEGER NOT NULL);
    INSERT INTO change VALUES (0);
    CREATE TABLE deployment (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, spec TEXT NOT NULL, generation INTEGER NOT NULL,
        observed TEXT NOT NULL, is_deleting INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    );
    CREATE TABLE idempotency (
        key TEXT PRIMARY KEY, body_sha256 TEXT NOT NULL, made TEXT NOT NULL, created_at_s REAL NOT NULL
    );
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL, at TEXT NOT NULL, reason TEXT NOT NULL,
        message TEXT NOT NULL
    );
    CREATE INDEX event_by_subject ON event(subject, seq);
    CREATE TABLE lease (
        name TEXT PRIMARY KEY, owner TEXT NOT NULL, epoch INTEGER NOT NULL, expires_at_s REAL NOT NULL
    );
    CREATE TABLE api_key (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL UNIQUE, scopes TEXT NOT NULL,
        created_at TEXT NOT NULL, requests_per_minute INTEGER NOT NULL, concurrency INTEGER NOT NULL
    );
    CREATE TABLE queued_benchmark (
        id TEXT PRIMARY KEY, body TEXT NOT NULL, created_at TEXT NOT NULL, facts TEXT NOT NULL
    );
    CREATE TABLE queued_run (
        id TEXT PRIMARY KEY, benchmark_id TEXT NOT NULL REFERENCES queued_benchmark(id) ON DELETE CASCADE,
        position INTEGER NOT NULL, model TEXT NOT NULL, runtime TEXT NOT NULL, workload TEXT NOT NULL,
        status TEXT NOT NULL, cause TEXT NOT NULL
    );
    CREATE INDEX queued_run_by_benchmark ON queued_run(benchmark_id, position);
    PRAGMA user_version = 1;
"""

_SPEC = DeploymentSpec(name="tiny", model=parse_model("synthetic:tiny"), runtime=parse_runtime("sim"))


def fill_first(execute: Callable[[str], object]) -> None:
    """Write one of each."""
    spec, observed = json.dumps(spec_to_stored(_SPEC)), json.dumps(observed_to_stored(Observed()))
    at = "2026-01-01T00:00:00Z"
    for sql in (
        f"INSERT INTO deployment VALUES ('d1', 'tiny', '{spec}', 1, '{observed}', 0, '{at}', '{at}')",
        f"INSERT INTO event (subject, at, reason, message) VALUES ('d1', '{at}', 'Tick', 'hello')",
        f"INSERT INTO api_key VALUES ('1', 'ci', '{'a' * 64}', '[]', '{at}', 0, 0)",
        f"INSERT INTO queued_benchmark VALUES ('b1', '{{}}', '{at}', '{{}}')",
        "INSERT INTO queued_run VALUES ('r1', 'b1', 0, 'm', 'sim', 'w', 'failed', 'why')",
        "INSERT INTO lease VALUES ('control', 'a', 3, 0)",
        "UPDATE change SET version = 7",
    ):
        execute(sql)
