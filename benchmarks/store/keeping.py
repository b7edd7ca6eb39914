"""How long it takes to store the records of a run of a million requests, once its load is over, and how large they are.

    PYTHONPATH=benchmarks:dev python benchmarks/store/keeping.py --requests 1000000 --tokens 8

Journals as drivers leave them (making them is not timed) become Parquet, which then goes to a PostgreSQL and an S3
server of their own with its rows, as control does it.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

from records.million import keep, target, write_journals
from servers.postgres import Postgres
from servers.s3 import RcloneS3
from tokenforge.bench.run_log import RunLog
from tokenforge.domain.run import RunStatus
from tokenforge.domain.workload import Arrival, Workload
from tokenforge.store.archive import Archive
from tokenforge.store.artifacts import RECORD_FILE, REQUESTS_FILE
from tokenforge.store.blobs.opening import open_blobs
from tokenforge.store.kept import kept_of
from tokenforge.store.requests_table import RunRecords, write_requests
from tokenforge.store.sql.store import open_store

_TRIALS = 5


def main() -> int:
    """Do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=8)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        result = folder / "result"
        result.mkdir()
        log = _journals(folder, requests=asked.requests, tokens=asked.tokens)
        began_s = time.perf_counter()
        rows = RunRecords(
            run_id="r", model="m", runtime="sim", workload="w",
            tables=(table for trial in log.recorded for table in trial.tables()),
        )  # fmt: skip
        write_requests(result / REQUESTS_FILE, [rows])
        wrote_s = time.perf_counter() - began_s
        size = (result / REQUESTS_FILE).stat().st_size
        kept_s = _keep(folder, result)
    text = f"{asked.requests:,} requests of {asked.tokens} tokens: Parquet in {wrote_s:.1f} s, {size / 1e6:.0f} MB;"
    sys.stdout.write(f"{text} kept in PostgreSQL and S3 in {kept_s:.1f} s\n")
    return 0


def _journals(folder: Path, *, requests: int, tokens: int) -> RunLog:
    workload = Workload(name="w", arrival=Arrival.POISSON, qps=500.0, requests=requests // _TRIALS)
    log = RunLog(target=target(), workload=workload, status=RunStatus.SUCCEEDED)
    with get_context("spawn").Pool(2) as pool:
        asked = [(folder, trial, requests // _TRIALS, tokens) for trial in range(_TRIALS)]
        for trial, (paths, _) in enumerate(pool.starmap(write_journals, asked)):
            keep(log, trial, paths)
    return log


def _keep(folder: Path, result: Path) -> float:
    run: dict[str, object] = {
        "id": "r",
        "model": "m",
        "runtime": "sim",
        "workload": "w",
        "status": "succeeded",
        "cause": None,
        "trials": [],
    }
    document: dict[str, object] = {"id": "b", "created_at": "2026-01-01T00:00:00Z", "runs": [run]}
    (result / RECORD_FILE).write_text(json.dumps(document))
    postgres, s3 = Postgres(folder=folder / "postgres"), RcloneS3(folder=folder / "s3")
    postgres.start()
    s3.start()

    async def work() -> float:
        store = open_store(postgres.url())
        await store.observations.version()
        blobs = open_blobs(s3.url(), env=s3.env(), default=folder)
        began_s = time.perf_counter()
        await Archive(blobs=blobs, rows=store.blobs, kept=store.kept).keep(result, kept_of(document))
        took_s = time.perf_counter() - began_s
        await store.close()
        return took_s

    try:
        return asyncio.run(work())
    finally:
        s3.stop()
        postgres.stop("immediate")


if __name__ == "__main__":
    sys.exit(main())
