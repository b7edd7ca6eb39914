"""How long the queries of lists take with many runs in the tables.

    PYTHONPATH=benchmarks:dev python benchmarks/store/lists.py --runs 100000

On a PostgreSQL of its own. Each query is asked 50 times after a first; the median and the slowest are told.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg

from servers.postgres import Postgres
from tokenforge.domain.run import RunStatus
from tokenforge.store.base import RunFilter
from tokenforge.store.sql.migrate import migrate_postgres
from tokenforge.store.sql.store import open_store

_RUNS_EACH = 4
_TIMES = 50
_FILL = """
INSERT INTO queued_benchmark (id, body, created_at, facts)
SELECT 'q' || b, '{{"model": "m", "workloads": []}}', to_char(timestamp '2026-01-01' + b * interval '1 minute',
  'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), '{{"headline": "h"}}' FROM generate_series(1, {benchmarks}) b;
INSERT INTO queued_run (id, benchmark_id, position, model, runtime, workload, status, cause)
SELECT 'q' || b || '-' || r, 'q' || b, r, 'm' || b % 7, 'sim', 'w' || r, 'succeeded', ''
FROM generate_series(1, {benchmarks}) b, generate_series(1, {each}) r;
INSERT INTO benchmark (id, created_at, spec_hash, headline, verdict, folder, queued_id)
SELECT 'b' || b, to_char(timestamp '2026-01-01' + b * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 's', 'h',
  'valid', '', 'q' || b FROM generate_series(1, {benchmarks}) b;
INSERT INTO run (id, benchmark_id, position, created_at, model, runtime, workload, status, cause)
SELECT 'b' || b || '-' || r, 'b' || b, r, to_char(timestamp '2026-01-01' + b * interval '1 minute',
  'YYYY-MM-DD"T"HH24:MI:SS"Z"'), 'm' || b % 7, CASE r % 2 WHEN 0 THEN 'vllm@0.32.0' ELSE 'transformers@4' END, 'w' || r,
  CASE WHEN b % 100 = 0 THEN 'failed' ELSE 'succeeded' END, ''
FROM generate_series(1, {benchmarks}) b, generate_series(1, {each}) r;
"""


def main() -> int:
    """Do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        postgres = Postgres(folder=Path(name) / "postgres")
        postgres.start()
        try:
            fill(postgres.url(), runs=asked.runs)
            asyncio.run(measure(postgres.url(), runs=asked.runs))
        finally:
            postgres.stop("immediate")
    return 0


def fill(url: str, *, runs: int) -> None:
    """As many runs, asked and measured."""
    migrate_postgres(url)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in filter(str.strip, _FILL.format(benchmarks=runs // _RUNS_EACH, each=_RUNS_EACH).split(";")):
            connection.execute(statement.encode())
        connection.execute(b"ANALYZE")


async def measure(url: str, *, runs: int) -> None:
    """Ask and tell."""
    store = open_store(url)
    failed = RunFilter(runtime="vllm@0.32.0", status=RunStatus.FAILED)
    last = f"b{runs // _RUNS_EACH}-1"
    queries: dict[str, Callable[[], Awaitable[object]]] = {
        "GET /runs (100 newest benchmarks)": lambda: store.benchmarks.list(limit=100),
        "what is queued (none)": lambda: store.benchmarks.list(limit=100, only_open=True),
        "tokenforge runs (20 newest)": lambda: store.kept.recent(limit=20),
        "tokenforge runs --runtime --status failed": lambda: store.kept.recent(limit=20, only=failed),
        "one run by its id": lambda: store.kept.find(last),
    }
    for name, query in queries.items():
        await query()
        took = [await _took_ms(query) for _ in range(_TIMES)]
        sys.stdout.write(f"{name}: median {statistics.median(took):.1f} ms, slowest {max(took):.1f} ms\n")
    await store.close()


async def _took_ms(query: Callable[[], Awaitable[object]]) -> float:
    began_s = time.perf_counter()
    await query()
    return 1e3 * (time.perf_counter() - began_s)


if __name__ == "__main__":
    sys.exit(main())
