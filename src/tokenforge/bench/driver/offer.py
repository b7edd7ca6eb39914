"""Offer a trial's load: split the plan between driver processes, start them on one clock, follow them, gather records.

The load itself runs in children, because whatever shares a process with a load generator shows in its numbers. A child
holds the reading end of a pipe from here: when this process dies or closes it, the child stops by itself. Whatever ends
a trial early, the journals in `job.folder` keep the records until then (`journal_paths`, `bench.trial_records`).
"""

import asyncio
import contextlib
import select
import struct
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol

from tokenforge.bench.driver.job import DriveJob, DriveResult, DriverFailed, Progress
from tokenforge.bench.driver.jobfile import write_job
from tokenforge.bench.driver.reading import Watcher, driver_reading
from tokenforge.bench.driver.shares import clients_of, job_rows, most_processes, share_of
from tokenforge.bench.driver.wire import parse_target, request_bytes, request_head
from tokenforge.bench.journal import Heartbeat
from tokenforge.bench.trial_records import read_trial

_ORIGIN = struct.Struct("<q")
_LEAD_NS = 20_000_000
_READY_S = 60.0
_LOOK_S = 0.2
_STOP_S = 3.0
_LAST_WORDS = 12


class Offer(Protocol):
    """Whatever can offer a trial: processes of this machine, pods of a cluster."""

    def __call__(
        self, job: DriveJob, *, on_progress: Callable[[Progress], None] | None = None
    ) -> Awaitable[DriveResult]:
        """Run the trial to its end. Raises DriverFailed; DriverLost where the trial can be measured again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Child:
    process: asyncio.subprocess.Process
    journal: Path
    words: IO[bytes]


async def offer(job: DriveJob, *, on_progress: Callable[[Progress], None] | None = None) -> DriveResult:
    """Run the trial to its end. Cancelling ends the children within a few seconds and leaves readable journals.

    Raises DriverFailed, with the journals, when a child ends on its own, and InvalidInput for a job that cannot be
    sent.
    """
    if not hasattr(select, "epoll"):
        raise DriverFailed("the load generator runs on Linux only", hint="use a Linux machine, VM or container")
    job.folder.mkdir(parents=True, exist_ok=True)
    children: list[_Child] = []
    try:
        for process in range(process_count(job)):
            children.append(await _start(job, process))
        scheduling = await _all_ready(children)
        origin_ns = time.monotonic_ns() + _LEAD_NS
        for child in children:
            _stdin(child).write(_ORIGIN.pack(origin_ns))
        watcher = await _follow(children, origin_ns=origin_ns, on_progress=on_progress)
    finally:
        await _end(children)
    journals = [child.journal for child in children]
    return await asyncio.to_thread(
        merged, job, journals, beats=watcher.beats, scheduling=scheduling, origin_ns=origin_ns
    )  # fmt: skip


def merged(
    job: DriveJob, journals: Sequence[Path], *, beats: Sequence[Heartbeat], scheduling: str, origin_ns: int
) -> DriveResult:
    """One trial of the journals of all its drivers, wherever they ran; `beats` are the last of each."""
    recorded = read_trial(journals, trial=job.plan.trial)
    reading = driver_reading(plan=job.plan, recorded=recorded, beats=beats, processes=len(journals))
    return DriveResult(recorded=recorded, reading=replace(reading, scheduling=scheduling), origin_ns=origin_ns)


def process_count(job: DriveJob) -> int:
    """Driver processes that will run: those asked for, but none without a share."""
    return max(1, min(job.processes, most_processes(job.plan)))


def journal_path(folder: Path, trial: int, process: int) -> Path:
    """Where the journal of one driver process is."""
    return folder / f"trial-{trial:04d}-driver-{process:02d}.journal"


def journal_paths(folder: Path, trial: int) -> list[Path]:
    """The journals of a trial, one per driver process."""
    return sorted(folder.glob(f"trial-{trial:04d}-driver-*.journal"))


async def _start(job: DriveJob, process: int) -> _Child:
    journal = journal_path(job.folder, job.plan.trial, process)
    words: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
    with tempfile.TemporaryFile(dir=job.folder) as file:
        await asyncio.to_thread(write_share, job, process, journal=journal.resolve(), file=file)
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tokenforge.bench.driver",
            f"/dev/fd/{file.fileno()}",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=words,
            pass_fds=(file.fileno(),),
        )
    return _Child(process=child, journal=journal, words=words)


def write_share(job: DriveJob, process: int, *, journal: Path, file: IO[bytes]) -> None:
    """The job of one process, which writes to `journal` (from its own folder on, where that is not a whole path)."""
    plan, count = job.plan, process_count(job)
    target = parse_target(job.url, job.endpoint)
    head = request_head(target, job)
    share = share_of(plan, process=process, processes=count)
    header: dict[str, object] = {"host": target.host, "port": target.port, "tls": target.tls}
    header |= {"trial": plan.trial, "process": process, "processes": count, "journal": str(journal)}
    header |= {"concurrency": clients_of(plan, process=process, processes=count), "duration_s": plan.duration_s}
    header |= {"request_timeout_s": job.request_timeout_s, "drain_s": job.drain_s}
    requests = [request_bytes(head, request, job) for request in share]
    write_job(file, header=header, rows=job_rows(share), requests=requests)


async def _all_ready(children: list[_Child]) -> str:
    """Wait for every child; how the kernel schedules them, by their own words."""
    found: set[str] = set()
    for child in children:
        try:
            line = await asyncio.wait_for(_stdout(child).readline(), _READY_S)
        except TimeoutError:
            line = b""
        if not line.startswith(b"ready "):
            raise _failure(child, children, "did not get ready")
        found.add(line.decode().removeprefix("ready ").strip())
    return ", ".join(sorted(found))


async def _follow(children: list[_Child], *, origin_ns: int, on_progress: Callable[[Progress], None] | None) -> Watcher:
    watcher = Watcher([child.journal for child in children])
    waits = {asyncio.ensure_future(child.process.wait()): child for child in children}
    running = set(waits)
    try:
        while running:
            done, running = await asyncio.wait(running, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            progress = watcher.look(elapsed_s=max(0, time.monotonic_ns() - origin_ns) / 1e9)
            if on_progress is not None:
                on_progress(progress)
            for task in done:
                if task.result() != 0:
                    raise _failure(waits[task], children, f"ended with {_exit_words(task.result())}")
    finally:
        for task in running:
            task.cancel()
    return watcher


async def _end(children: list[_Child]) -> None:
    """Ask by closing the pipe, then kill. The journals are whole after either."""
    for child in children:
        with contextlib.suppress(OSError):
            _stdin(child).close()
    for child in children:
        try:
            await asyncio.wait_for(child.process.wait(), _STOP_S)
        except (TimeoutError, asyncio.CancelledError):
            with contextlib.suppress(ProcessLookupError):
                child.process.kill()
            await child.process.wait()
        finally:
            child.words.close()


def _failure(child: _Child, children: list[_Child], what: str) -> DriverFailed:
    child.words.seek(0)
    words = child.words.read().decode(errors="replace").splitlines()[-_LAST_WORDS:]
    last = f": {words[-1]}" if words else ""
    return DriverFailed(
        f"driver process {child.process.pid} {what}{last}",
        hint=f"{child.journal.parent} keeps the records until then",
        journals=tuple(child.journal for child in children if child.journal.exists()),
        last_words=tuple(words),
    )


def _exit_words(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _stdin(child: _Child) -> asyncio.StreamWriter:
    if child.process.stdin is None:
        raise DriverFailed("a driver process has no input pipe", hint="report this")
    return child.process.stdin


def _stdout(child: _Child) -> asyncio.StreamReader:
    if child.process.stdout is None:
        raise DriverFailed("a driver process has no output pipe", hint="report this")
    return child.process.stdout
