"""A million requests from journals to the report: how long each step takes, and how much memory the command needs.

    python benchmarks/records/million.py [--requests 1000000] [--tokens 32] [--trials 5]

The stamps are synthetic (500 requests/s, tokens about 10 ms apart, a few failures) and making them is not timed. All
after that is the code of `tokenforge bench`: journals written in another process, as drivers do; read when a trial has
ended; then `requests.parquet`, the record with its summary, and both pages. At the end the pages are rebuilt from the
files, which is what `tokenforge report` does, and must be the same bytes.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from tokenforge.bench.driver.job import DriveResult
from tokenforge.bench.driver.reading import driver_reading
from tokenforge.bench.journal import Heartbeat, JournalWriter
from tokenforge.bench.outcome import Circumstances, report_again, write_outcome
from tokenforge.bench.run_log import RunLog
from tokenforge.bench.targets import Target
from tokenforge.bench.trial_records import read_trial
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.plan import PromptForm, TrialPlan
from tokenforge.domain.record import Outcome, RequestRecord
from tokenforge.domain.run import RunStatus
from tokenforge.domain.workload import Arrival, Slo, Workload

RATE, PROCESSES, BLOCK = 500.0, 2, 2000


def main() -> None:
    """Run every step once and print its time and the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure(Path(folder), requests=options.requests, tokens=options.tokens, trials=options.trials)


def measure(folder: Path, *, requests: int, tokens: int, trials: int) -> None:
    """All steps, in the order of a benchmark."""
    slo = Slo(ttft_ms=200.0)
    workload = Workload(name="million", qps=RATE, requests=requests // trials, warmup_s=10.0, slo=slo)
    log = RunLog(target=target(), workload=workload, status=RunStatus.SUCCEEDED)
    writing_s = reading_s = 0.0
    for trial in range(trials):
        with get_context("spawn").Pool(1) as pool:
            journals, took_s = pool.apply(write_journals, (folder, trial, requests // trials, tokens))
        writing_s += took_s
        reading_s += timed(partial(keep, log, trial, journals))[0]
    benchmark = Benchmark(models=(), runtimes=(), workloads=(workload,), trials=trials)
    around = Circumstances(id="million", created_at="2026-01-01T00:00:00Z", command="", tool={}, environment={})
    outcome_s = timed(lambda: write_outcome(folder, benchmark, [log], circumstances=around))[0]
    pages = [(folder / name).read_bytes() for name in ("record.json", "report.html", "report.md")]
    before_cpu_s = time.process_time()
    again_s = timed(lambda: report_again(folder))[0]
    again_cpu_s = time.process_time() - before_cpu_s
    same = pages == [(folder / name).read_bytes() for name in ("record.json", "report.html", "report.md")]
    size = (folder / "requests.parquet").stat().st_size
    print(f"{requests:,} requests of {tokens} tokens in {trials} trials")
    print(f"journals written      {writing_s:6.1f} s")
    print(f"journals read         {reading_s:6.1f} s")
    print(f"Parquet, summary, pages {outcome_s:4.1f} s   (requests.parquet: {size / 1e6:,.0f} MB)")
    print(f"all                   {writing_s + reading_s + outcome_s:6.1f} s")
    print(f"analysed again        {again_s:6.1f} s   (tokenforge report; {again_cpu_s:.1f} s of CPU)")
    print(f"peak memory           {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:6,.0f} MiB")
    print(f"pages rebuilt alike   {'yes' if same else 'NO'}")
    sys.exit(not same)


def timed(step: Callable[[], object]) -> tuple[float, object]:
    """Seconds that a step took, and what it gave."""
    start = time.perf_counter()
    result = step()
    return time.perf_counter() - start, result


def keep(log: RunLog, trial: int, journals: Sequence[Path]) -> None:
    """What the command does when a trial has ended."""
    plan = TrialPlan(workload="million", arrival=Arrival.POISSON, trial=trial, seed=trial, requests=())
    recorded = read_trial(journals, trial=trial)
    reading = driver_reading(plan=plan, recorded=recorded, beats=(), processes=PROCESSES)
    result = DriveResult(recorded=recorded, reading=reading, origin_ns=0)
    log.keep(plan, result, position=trial, began=datetime(2026, 1, 1, tzinfo=UTC))


def target() -> Target:
    """A server that is not there."""
    return Target(
        model="synthetic:tiny", served_name="m", runtime="vllm", url="http://127.0.0.1:1", window=None, tokenizer=None,
        form=PromptForm.TEXT, exact_output=True, continuous_usage=True, engine=None, headers={}, packages={},
    )  # fmt: skip


def write_journals(folder: Path, trial: int, count: int, tokens: int) -> tuple[list[Path], float]:
    """A trial's journals, records in the order they ended; and the seconds that writing took."""
    paths = [folder / f"trial-{trial:04d}-driver-{process:02d}.journal" for process in range(PROCESSES)]
    writers = [JournalWriter(path, trial=trial, process=process) for process, path in enumerate(paths)]
    took_s = 0.0
    for block in made_records(trial, count, tokens):
        start = time.perf_counter()
        for record in block:
            writers[record.index % PROCESSES].record(record)
        for writer in writers:
            writer.heartbeat(BEAT)
            writer.flush()
        took_s += time.perf_counter() - start
    for writer in writers:
        writer.close()
    return paths, took_s


def made_records(trial: int, count: int, tokens: int) -> Iterator[list[RequestRecord]]:
    """Synthetic records in the order of their ends, some thousand at a time."""
    chance = np.random.default_rng([7, trial])
    due = np.cumsum(chance.exponential(1e9 / RATE, count)).astype(np.int64)
    sent = due + chance.integers(20_000, 300_000, count)
    first = sent + (chance.lognormal(3.5, 0.5, count) * 1e6).astype(np.int64)
    pace = chance.normal(10e6, 0.3e6, count)
    failed = chance.random(count) < 0.002
    order = np.argsort(first + pace * tokens, kind="stable")
    for rows in np.array_split(order, max(1, count // BLOCK)):
        gaps = pace[rows, None] * chance.normal(1, 0.1, (len(rows), tokens - 1)).clip(0.1)
        stamps = first[rows, None] + np.cumsum(np.hstack((np.zeros((len(rows), 1)), gaps)), axis=1).astype(np.int64)
        yield [
            record(trial, int(row), int(due[row]), int(sent[row]), [] if failed[row] else chunks, tokens)
            for row, chunks in zip(rows, stamps.tolist(), strict=True)
        ]


def record(trial: int, index: int, due: int, sent: int, chunks: list[int], tokens: int) -> RequestRecord:
    """One record: answered where it has chunks, else failed."""
    said = tokens if chunks else None
    return RequestRecord(
        trial=trial, index=index, scheduled_ns=due, sent_ns=sent, headers_ns=sent + 1_000_000,
        first_ns=chunks[0] if chunks else None, end_ns=(chunks[-1] if chunks else sent) + 1_500_000,
        chunk_ns=tuple(chunks), chunk_tokens=(1,) * len(chunks), asked_prompt_tokens=256, asked_output_tokens=tokens,
        prompt_tokens=256 if chunks else None, cached_tokens=0 if chunks else None, output_tokens=said,
        counted_tokens=len(chunks), finish_reason="length" if chunks else None, http_status=200 if chunks else 500,
        outcome=Outcome.OK if chunks else Outcome.HTTP_ERROR, error=None if chunks else "500: the engine failed",
        connection=index % 64, merged_reads=0, server_first_ns=chunks[0] - sent - 90_000 if chunks else None,
        server_queue_ns=0 if chunks else None, server_prefill_ns=chunks[0] - sent - 190_000 if chunks else None,
    )  # fmt: skip


BEAT = Heartbeat(
    at_ns=1, sent=0, finished=0, errors=0, in_flight=0, tokens=0, cpu_ns=0, gc_pause_max_ns=0, retried=0,
    clock_steps=0, reads=0, user_stamps=0,
)  # fmt: skip


if __name__ == "__main__":
    main()
