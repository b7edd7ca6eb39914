"""The calibration pass: each workload's load for a second or two through the real driver, against a null server.

It runs after the trials, within seconds, on the machine that offered the load (also where the server was elsewhere: it
is the client that is measured). Nothing that goes wrong here fails a benchmark: the reason stands in the record.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenforge.bench.calibration.compare import Compared, compare, stamp_error
from tokenforge.bench.calibration.load import Load, Repeat, repeat_of
from tokenforge.bench.calibration.truth import read_truth
from tokenforge.bench.driver.job import DriveJob, DriveResult, Endpoint
from tokenforge.bench.driver.offer import offer
from tokenforge.domain.calibration import Calibration, CalibrationLoad
from tokenforge.domain.errors import TokenForgeError

NULL_SERVER = (sys.executable, "-m", "tokenforge.bench.calibration")
_BUDGET_S = 10.0
_OVERHEAD_S = 1.3
_WINDOW_S = 1.5
_SHORTEST_WINDOW_S = 0.4
_LIMIT_S = 6.0
_START_S = 5.0
_STOP_S = 3.0
_MISSING = 0.10
_UNSURE = 0.20


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A workload to calibrate for: its load (None: nothing was answered), and how its requests were sent."""

    workload: str
    load: Load | None
    endpoint: Endpoint
    continuous_usage: bool
    processes: int


async def calibrate(
    subjects: Sequence[Subject],
    *,
    folder: Path,
    null_server: Sequence[str] = NULL_SERVER,
    budget_s: float = _BUDGET_S,
) -> tuple[Calibration, ...]:
    """One calibration per subject, in their order, within about `budget_s` in all; `folder` holds what it needs.

    Being cancelled ends it; what is left says so.
    """
    until = time.monotonic() + budget_s
    window_s = min(_WINDOW_S, max(_SHORTEST_WINDOW_S, budget_s / max(1, len(subjects)) - _OVERHEAD_S))
    done: list[Calibration] = []
    cause: str | None = None
    for number, subject in enumerate(subjects):
        if cause is None and number and time.monotonic() + window_s + _OVERHEAD_S > until:
            cause = f"the {budget_s:g} s for calibration were used by other workloads"
        if cause is not None:
            done.append(Calibration(workload=subject.workload, cause=cause))
            continue
        try:
            part = folder / f"calibration-{number:02d}"
            done.append(await _one(subject, window_s=window_s, folder=part, null_server=null_server))
        except asyncio.CancelledError:
            cause = "it was interrupted"
            done.append(Calibration(workload=subject.workload, cause=cause))
    return tuple(done)


async def _one(subject: Subject, *, window_s: float, folder: Path, null_server: Sequence[str]) -> Calibration:
    repeat = None if subject.load is None else repeat_of(subject.load, window_s=window_s)
    if repeat is None:
        return Calibration(workload=subject.workload, cause="no answer was whole, so there is no load to repeat")
    try:
        async with asyncio.timeout(_LIMIT_S):
            result, compared = await _repeated(subject, repeat, folder=folder, null_server=null_server)
    except TimeoutError:
        return Calibration(workload=subject.workload, cause=f"it did not end within {_LIMIT_S:g} s")
    except (TokenForgeError, OSError, ValueError) as error:
        return Calibration(workload=subject.workload, cause=str(error).rstrip(".") or type(error).__name__)
    return _reading(subject, repeat, result, compared)


async def _repeated(
    subject: Subject, repeat: Repeat, *, folder: Path, null_server: Sequence[str]
) -> tuple[DriveResult, Compared]:
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    log = folder / "truth.i64"
    pace = (str(round(repeat.ttft_s * 1e9)), str(round(repeat.itl_s * 1e9)))
    async with _running((*null_server, *pace, str(log))) as url:
        result = await offer(_job(subject, repeat, url=url, folder=folder))
    return result, compare(result.records, read_truth(log))


def _job(subject: Subject, repeat: Repeat, *, url: str, folder: Path) -> DriveJob:
    return DriveJob(
        url=url,
        model="null",
        plan=repeat.plan,
        endpoint=subject.endpoint,
        temperature=0.0,
        exact_output=True,
        continuous_usage=subject.continuous_usage,
        request_timeout_s=_LIMIT_S,
        drain_s=2.0,
        headers={},
        folder=folder,
        processes=subject.processes,
    )


@contextlib.asynccontextmanager
async def _running(command: Sequence[str]) -> AsyncIterator[str]:
    """A null server's URL; with the block's end it has written its log and is gone."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _START_S)
        if not line.startswith(b"port "):
            raise OSError("the null server did not start")
        yield f"http://127.0.0.1:{int(line[5:])}"
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except (TimeoutError, asyncio.CancelledError):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _reading(subject: Subject, repeat: Repeat, result: DriveResult, compared: Compared) -> Calibration:
    cause, reading = _why_not(compared), result.reading
    if cause is not None:
        return Calibration(workload=subject.workload, cause=cause)
    return Calibration(
        workload=subject.workload,
        load=_load_of(repeat, result),
        processes=reading.processes,
        requests=compared.matched,
        ttft_error=stamp_error(compared.ttft_ns),
        itl_error=stamp_error(compared.itl_ns),
        lag_p50_ms=reading.lag_p50_ms,
        lag_p99_ms=reading.lag_p99_ms,
        lag_max_ms=reading.lag_max_ms,
        merged_read_share=reading.merged_read_share,
        kernel_stamps=reading.kernel_stamps,
        unsure_share=compared.unsure_share,
    )


def _why_not(compared: Compared) -> str | None:
    """What makes a comparison worth nothing."""
    total = compared.matched + compared.missing
    if compared.missing > _MISSING * total:
        return f"{compared.missing} of {total} answers of the null server were not whole: too much load for both"
    if compared.unsure_share > _UNSURE:
        return (
            f"the null server was itself held up in {compared.unsure_share:.0%} of its chunks: it knows no exact times"
        )
    return None


def _load_of(repeat: Repeat, result: DriveResult) -> CalibrationLoad:
    records = result.records
    ends = [record.end_ns for record in records if record.end_ns is not None]
    sent = [record.sent_ns for record in records if record.sent_ns is not None]
    sent_s = max(1e-9, (max(sent) - min(sent)) / 1e9) if len(sent) > 1 else 1.0
    return CalibrationLoad(
        requests_per_s=len(sent) / sent_s,
        chunks_per_s=sum(len(record.chunk_ns) for record in records) / max(1e-9, max(ends, default=1) / 1e9),
        chunks_per_answer=repeat.chunks,
        ttft_ms=repeat.ttft_s * 1e3,
        itl_ms=repeat.itl_s * 1e3,
        concurrency=repeat.plan.concurrency,
    )
