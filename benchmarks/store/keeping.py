"""How long it takes to store a run of a million requests once its load is over, and how much memory it needs.

    PYTHONPATH=benchmarks:dev python benchmarks/store/keeping.py --requests 1000000 --tokens 8

Journals as drivers leave them (making them is not timed) are read trial by trial, as `tokenforge bench` does when a
trial has ended; the last one is read after the load. Then they become Parquet, which goes to a PostgreSQL and an S3
server of their own with its rows, as control does it. For each step: seconds, CPU seconds, and how far memory rose
(the peak of what is resident, above what it was before the first step). At last summary and pages are made, the other
part of what comes after a load.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import obstore  # noqa: F401 (here, so that its pages are not counted as those of the work)
import pyarrow.parquet  # noqa: F401
import scipy.stats  # noqa: F401

from records.million import keep, target, write_journals
from servers.postgres import Postgres
from servers.s3 import RcloneS3
from tokenforge.bench.outcome import Circumstances, report_again, write_outcome
from tokenforge.bench.run_log import RunLog
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.run import RunStatus
from tokenforge.domain.workload import Arrival, Slo, Workload
from tokenforge.store.archive import Archive
from tokenforge.store.artifacts import RECORD_FILE, REQUESTS_FILE
from tokenforge.store.blobs.opening import open_blobs
from tokenforge.store.kept import kept_of
from tokenforge.store.requests_table import RunRecords, write_requests
from tokenforge.store.sql.store import open_store

T = TypeVar("T")
_TRIALS = 5
_AROUND = Circumstances(id="b", created_at="2026-01-01T00:00:00Z", command="", tool={}, environment={})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where it is kept."""

    database_url: str = field(repr=False)
    artifacts_url: str
    env: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Meter:
    """Tells what each step took; memory above `base_bytes`."""

    base_bytes: int

    def step(self, name: str, work: Callable[[], T]) -> T:
        """Do it and tell."""
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        began_s, cpu_s = time.perf_counter(), time.process_time()
        done = work()
        took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        rise = (_status_bytes("VmHWM") - self.base_bytes) / 1e6
        sys.stdout.write(f"{name:32} {took_s:5.1f} s, {cpu_s:5.1f} s of CPU, at most {rise:4.0f} MB more memory\n")
        sys.stdout.flush()
        return done


def main() -> int:
    """Do it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=8)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        postgres, s3 = Postgres(folder=folder / "postgres"), RcloneS3(folder=folder / "s3")
        try:
            postgres.start()
            s3.start()
            place = Place(database_url=postgres.url(), artifacts_url=s3.url(), env=s3.env())
            _rehearse(folder / "rehearsal", place)
            journals = _journals(folder, requests=asked.requests, tokens=asked.tokens)
            _measure(folder, journals, place, Meter(_status_bytes("VmRSS")))
        finally:
            s3.stop()
            postgres.stop("immediate")
        size = (folder / "result" / REQUESTS_FILE).stat().st_size
    sys.stdout.write(f"{asked.requests:,} requests of {asked.tokens} tokens are {size / 1e6:.0f} MB of Parquet\n")
    return 0


def _measure(folder: Path, journals: list[list[Path]], place: Place, meter: Meter) -> None:
    result, pages = folder / "result", folder / "pages"
    result.mkdir()
    pages.mkdir()
    log = RunLog(target=target(), workload=_workload(), status=RunStatus.SUCCEEDED)
    for trial, paths in enumerate(journals):
        when = "after the load" if trial == _TRIALS - 1 else "in the run"
        meter.step(f"trial {trial} read ({when})", partial(keep, log, trial, paths))
    rows = RunRecords(
        run_id="r", model="m", runtime="sim", workload="w",
        tables=(table for trial in log.recorded for table in trial.tables()),
    )  # fmt: skip
    meter.step("Parquet", lambda: write_requests(result / REQUESTS_FILE, [rows]))
    _write_record(result, "b")
    meter.step("kept in PostgreSQL and S3", lambda: asyncio.run(_keep(result, place)))
    benchmark = Benchmark(models=(), runtimes=(), workloads=(log.workload,), trials=_TRIALS)
    meter.step("Parquet, summary and pages", lambda: write_outcome(pages, benchmark, [log], circumstances=_AROUND))


def _rehearse(folder: Path, place: Place) -> None:
    """All steps once with few requests, so that what they import is there and not counted."""
    folder.mkdir()
    journals = [write_journals(folder, trial, 400, 8)[0] for trial in range(_TRIALS)]
    log = RunLog(target=target(), workload=_workload(), status=RunStatus.SUCCEEDED)
    for trial, paths in enumerate(journals):
        keep(log, trial, paths)
    benchmark = Benchmark(models=(), runtimes=(), workloads=(log.workload,), trials=_TRIALS)
    write_outcome(folder, benchmark, [log], circumstances=_AROUND)
    report_again(folder)
    _write_record(folder, "a")
    asyncio.run(_keep(folder, place))


def _workload() -> Workload:
    return Workload(name="w", arrival=Arrival.POISSON, qps=500.0, requests=1000, warmup_s=10.0, slo=Slo(ttft_ms=200.0))


def _journals(folder: Path, *, requests: int, tokens: int) -> list[list[Path]]:
    with get_context("spawn").Pool(2) as pool:
        asked = [(folder, trial, requests // _TRIALS, tokens) for trial in range(_TRIALS)]
        return [paths for paths, _ in pool.starmap(write_journals, asked)]


def _status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024


def _write_record(result: Path, identity: str) -> None:
    run: dict[str, object] = {
        "id": f"{identity}-r", "model": "m", "runtime": "sim", "workload": "w", "status": "succeeded", "cause": None,
        "trials": [],
    }  # fmt: skip
    document: dict[str, object] = {"id": identity, "created_at": "2026-01-01T00:00:00Z", "runs": [run]}
    (result / RECORD_FILE).write_text(json.dumps(document))


async def _keep(result: Path, place: Place) -> None:
    store = open_store(place.database_url)
    blobs = open_blobs(place.artifacts_url, env=place.env, default=result)
    kept = kept_of(json.loads((result / RECORD_FILE).read_text()))
    await Archive(blobs=blobs, rows=store.blobs, kept=store.kept).keep(result, kept)
    await store.close()


if __name__ == "__main__":
    sys.exit(main())
