"""One run after another, each with one kill or freeze at a named step, then the next leader, then a look around."""

import asyncio
import contextlib
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psycopg

from store.faults import Fault
from store.leader import LEASE_S, lead
from store.looking import look_at, look_at_all
from store.site import LOAD_STEPS, Site
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.store.sql.store import open_store

T = TypeVar("T")
Process = multiprocessing.context.ForkProcess
LIMIT_S = 60.0
_TRIES = 8
_AFTER_S = 1.0
_SENDING_S = 0.06
"""About as long as a large file is sent: a fault in the midst of that comes somewhere within."""

_UNSURE = ("SqlLeases.acquire", "SqlLeases.release")  # of heartbeats only the first few surely come
_FIRST_BEATS = 3
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Job:
    """A signal, and the step at which it comes."""

    number: int
    step: str


@dataclass(slots=True)
class Tally:
    """What came of it. `hit` counts by signal and step; `unreached` the steps that a run had no more."""

    states: Counter[str] = field(default_factory=Counter)
    taken_up: Counter[str] = field(default_factory=Counter)
    hit: Counter[tuple[str, str]] = field(default_factory=Counter)
    unreached: Counter[str] = field(default_factory=Counter)
    takeover_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """All that another saw, too."""
        for mine, theirs in ((self.states, other.states), (self.taken_up, other.taken_up)):
            mine.update(theirs)
        self.hit.update(other.hit)
        self.unreached.update(other.unreached)
        self.takeover_s += other.takeover_s
        self.wrong += other.wrong


def find_steps(site: Site) -> tuple[str, ...]:
    """The steps of a run that nothing disturbs, by name, each at which a fault can come."""
    seen, _ = _FORK.Pipe(duplex=False), None
    _enqueue(site, "first")
    process = _start(site, Fault(), told=seen[1])
    _wait(lambda: not _is_open(site, "first"), limit_s=LIMIT_S)
    process.terminate()
    steps: list[str] = seen[0].recv()
    _end(process)
    files = dict.fromkeys(step.removesuffix(" before") for step in steps if step.startswith("put "))
    sending = [f"{name} during" for name in files if name.endswith((".html", ".parquet", ".json"))]
    return tuple(step for step in [*dict.fromkeys(steps), *sending] if not _is_unsure(step))


def jobs_for(steps: Sequence[str], *, kills: int, freezes: int, seed: int) -> list[Job]:
    """So many of each, every step as often as every other, in an order of chance. A load is killed, not frozen."""
    chance = random.Random(seed)
    jobs = [Job(signal.SIGKILL, step) for step in _evenly([*steps, *LOAD_STEPS], kills, chance)]
    jobs += [Job(signal.SIGSTOP, step) for step in _evenly(steps, freezes, chance)]
    chance.shuffle(jobs)
    return jobs


def torment(site: Site, jobs: Sequence[Job], *, seed: int, say: Callable[[str], None], limit_s: float) -> Tally:
    """Do each job on a run of its own; for `limit_s` at most."""
    chance, tally, end_s = random.Random(seed), Tally(), time.monotonic() + limit_s
    others = [job.step for job in jobs if job.step not in LOAD_STEPS]
    for number, job in enumerate(jobs):
        if time.monotonic() > end_s:
            say(f"ended after {number} of {len(jobs)}: the time was up")
            break
        for again in range(_TRIES):
            step = job.step if again == 0 else chance.choice(others)
            if _one(site, f"b{number:04d}-{again}", Job(job.number, step), tally, chance):
                break
            tally.unreached[step] += 1
    tally.wrong += _in_child(look_at_all, site)
    for line in tally.wrong:
        say(f"WRONG: {line}")
    return tally


def prepare(site: Site) -> None:
    """The newest schema."""

    async def work() -> None:
        store = open_store(site.database_url)
        await store.observations.version()
        await store.close()

    asyncio.run(work())


def _one(site: Site, identity: str, job: Job, tally: Tally, chance: random.Random) -> bool:
    """One run, one fault, the next leader; a frozen one wakes after that has ended. Whether the fault came."""
    fault = Fault(at=job.step, number=job.number, within_s=chance.uniform(0, _SENDING_S))
    if job.step.endswith("during"):
        site.make_large(identity)
    if job.step in LOAD_STEPS:
        site.kill_load(identity, job.step)
    _enqueue(site, identity)
    first = _start(site, fault)
    _wait(lambda: _is_hit(first) or not _is_open(site, identity), limit_s=LIMIT_S)
    _wait(lambda: _is_hit(first), limit_s=0.0 if _is_open(site, identity) else _AFTER_S)  # steps after the end
    is_hit = _is_hit(first)
    began_s = time.monotonic()
    second = _start(site, Fault())
    _wait(lambda: not second.is_alive() or not _is_open(site, identity), limit_s=LIMIT_S)
    tally.takeover_s.append(time.monotonic() - began_s)
    if not second.is_alive():
        tally.wrong.append(f"{identity}: the next leader ended by itself, with {second.exitcode}")
    if is_hit and job.number == signal.SIGSTOP:
        os.kill(first.pid or 0, signal.SIGCONT)
        time.sleep(LEASE_S)  # what it had begun it tries to end now
    _wait(lambda: not _has_key(site), limit_s=LEASE_S * 5)
    _end(second)
    _end(first)
    if job.step in LOAD_STEPS:
        is_hit = not (site.work / "runs" / identity / "fault").exists()
    _note(site, identity, job, is_hit, tally)
    return is_hit


def _note(site: Site, identity: str, job: Job, is_hit: bool, tally: Tally) -> None:
    state, taken_up, wrong = _in_child(look_at, site, identity)
    tally.states[state] += 1
    tally.taken_up[taken_up] += 1
    name = signal.Signals(job.number).name
    if is_hit:
        tally.hit[name, job.step] += 1
    tally.wrong += [f"{identity}, {name} at {job.step}: {line}" for line in wrong]


def _evenly(steps: Sequence[str], count: int, chance: random.Random) -> list[str]:
    rounds = [chance.sample(list(steps), len(steps)) for _ in range(count // len(steps) + 1)]
    return [step for one in rounds for step in one][:count]


def _is_unsure(step: str) -> bool:
    what, _, rest = step.partition(" ")
    if what == "SqlLeases.release":
        return True
    return what == "SqlLeases.acquire" and int(rest.split()[0]) > _FIRST_BEATS


def _start(site: Site, fault: Fault, told: object = None) -> Process:
    process = _FORK.Process(target=_run_leader, args=(site, fault, told), daemon=False)
    process.start()
    return process


def _run_leader(site: Site, fault: Fault, told: object) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await lead(site, fault, stop)

    asyncio.run(main())
    if isinstance(told, multiprocessing.connection.Connection):
        told.send(fault.seen)


def _is_hit(process: Process) -> bool:
    if not process.is_alive():
        return True
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _end(process: Process) -> None:
    process.terminate()
    process.join(10)
    if process.is_alive():
        process.kill()
        process.join()


def _wait(is_done: Callable[[], bool], *, limit_s: float) -> None:
    end_s = time.monotonic() + limit_s
    while not is_done() and time.monotonic() < end_s:
        time.sleep(0.05)


def _in_child(work: Callable[..., Coroutine[object, object, T]], *arguments: object) -> T:
    """Do it in a process of its own: the S3 client has threads, which a fork of this one would lack."""
    ours, theirs = _FORK.Pipe(duplex=False)
    process = _FORK.Process(target=lambda: theirs.send(asyncio.run(work(*arguments))))
    process.start()
    theirs.close()
    try:
        found: T = ours.recv()
        return found
    finally:
        process.join()


def _enqueue(site: Site, identity: str) -> None:
    body: dict[str, object] = {
        "model": "synthetic:tiny", "runtimes": ["sim"], "order": "sequential",
        "workloads": [{"name": "w", "qps": 1, "requests": 2}],
    }  # fmt: skip
    run = QueuedRun(id=f"{identity}-r", model="synthetic:tiny", runtime="sim", workload="w")
    asked = QueuedBenchmark(id=identity, body=body, runs=(run,), created_at="")

    async def work() -> None:
        store = open_store(site.database_url)
        await store.benchmarks.enqueue(asked, idempotency=None)
        await store.close()

    asyncio.run(work())


def _is_open(site: Site, identity: str) -> bool:
    query = b"SELECT 1 FROM queued_run WHERE benchmark_id = %s AND status IN ('queued', 'preparing', 'running')"
    return _finds(site, query, identity)


def _has_key(site: Site) -> bool:
    return _finds(site, b"SELECT 1 FROM api_key")


def _finds(site: Site, query: bytes, *values: str) -> bool:
    with contextlib.closing(psycopg.connect(site.database_url, autocommit=True)) as connection:
        return connection.execute(query, values or None).fetchone() is not None
