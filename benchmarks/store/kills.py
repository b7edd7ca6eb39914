"""Kill or freeze a process at every step of writing a run, on a real PostgreSQL and a real S3; then look around.

    PYTHONPATH=benchmarks:dev python benchmarks/store/kills.py --kills 200 --freezes 50 --seed 1

A leader runs a queued benchmark and is killed (`kill -9`) or frozen (SIGSTOP, past its lease) at a step that is drawn
for each; another takes over. A frozen one is woken when the other has ended. Each time, and over all at the end:

- the run has its end, and a true one;
- every file that a row names is in S3 with its bytes;
- a benchmark is kept once, with each of its files once, also after a frozen one woke;
- after a sweep S3 holds what rows name and nothing else.
"""

import argparse
import asyncio
import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from servers.postgres import Postgres
from servers.s3 import RcloneS3
from store.faults import Fault
from store.leader import LEASE_S, Site, lead
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.domain.run import RunStatus
from tokenforge.store.archive import Archive
from tokenforge.store.blobs.opening import open_blobs
from tokenforge.store.sql.store import open_store

T = TypeVar("T")
STEPS = 50
"""A little more than a run has, so that a few come after its end."""

LIMIT_S = 60.0
_FILES = 3
_FORK = multiprocessing.get_context("fork")
_LOAD = """\
id=$(basename "$(dirname "$5")")
mkdir -p "$5"
sed "s/ID/$id/g" "{prepared}/record.json" > "$5/.record" && cp "{prepared}/report.html" "$5/"
printf "PAR1 $id" > "$5/requests.parquet"
mv "$5/.record" "$5/record.json"
"""


@dataclass(slots=True)
class Tally:
    """What came of it."""

    states: Counter[str] = field(default_factory=Counter)
    taken_up: Counter[str] = field(default_factory=Counter)
    at: Counter[str] = field(default_factory=Counter)
    takeover_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def main() -> int:
    """Do it; 1 when anything was found wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--freezes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="end after so long, wherever it is")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        postgres, s3 = Postgres(folder=folder / "postgres"), RcloneS3(folder=folder / "s3")
        try:
            postgres.start()
            s3.start()
            tally = torment(
                make_site(folder, database_url=postgres.url(), artifacts_url=s3.url(), env=dict(s3.env())),
                kills=asked.kills, freezes=asked.freezes, seed=asked.seed, say=tell,
                limit_s=asked.minutes * 60,
            )  # fmt: skip
        finally:
            s3.stop()
            postgres.stop("immediate")
    for line in tally.wrong:
        print(f"WRONG: {line}")
    print(f"{'FAILED' if tally.wrong else 'passed'}: {dict(tally.at)}, ends {dict(tally.states)}, "
          f"taken up {dict(tally.taken_up)}, over at most {max(tally.takeover_s, default=0):.1f} s after")  # fmt: skip
    return 1 if tally.wrong else 0


def tell(line: str) -> None:
    """To who looks on, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def make_site(folder: Path, *, database_url: str, artifacts_url: str, env: dict[str, str]) -> Site:
    """The load's files and script in `folder`."""
    prepared = folder / "prepared"
    prepared.mkdir()
    run: dict[str, object] = {
        "id": "ID-00-w", "model": "synthetic:tiny", "runtime": "sim", "workload": "w", "status": "succeeded",
        "cause": None, "trials": [],
    }  # fmt: skip
    record = {"id": "of-ID", "created_at": "2026-01-01T00:00:00Z", "runs": [run], "summary": {"headline": ["h"]}}
    (prepared / "record.json").write_text(json.dumps(record))
    (prepared / "report.html").write_bytes(os.urandom(200_000))
    load = folder / "load.sh"
    load.write_text(_LOAD.format(prepared=prepared))
    return Site(database_url=database_url, artifacts_url=artifacts_url, env=env, work=folder / "work", load=load)


def torment(
    site: Site, *, kills: int, freezes: int, seed: int, say: Callable[[str], None], limit_s: float = 3600.0
) -> Tally:
    """Kill and freeze so often, in an order and at steps drawn from `seed`; for `limit_s` at most."""
    chance, tally = random.Random(seed), Tally()
    asyncio.run(_prepare(site))
    kinds = [signal.SIGKILL] * kills + [signal.SIGSTOP] * freezes
    chance.shuffle(kinds)
    end_s = time.monotonic() + limit_s
    for number, kind in enumerate(kinds):
        if time.monotonic() > end_s:
            say(f"ended after {number} of {len(kinds)}: the time was up")
            break
        step = chance.randint(1, STEPS)
        identity = f"b{number:04d}"
        asyncio.run(_enqueue(site, identity))
        _one(site, identity, Fault(at=step, number=kind), tally)
        state, taken_up, wrong = _in_child(_check, site, identity)
        tally.states[state] += 1
        tally.taken_up[taken_up] += 1
        for line in wrong:
            tally.wrong.append(f"{identity}, {kind.name} at step {step}: {line}")
            say(f"WRONG: {tally.wrong[-1]}")
        if number % 10 == 9:
            say(f"{number + 1} of {len(kinds)}, {len(tally.wrong)} wrong")
    tally.wrong += _in_child(_check_all, site, len(kinds))
    return tally


def _one(site: Site, identity: str, fault: Fault, tally: Tally) -> None:
    """One run, one fault, the next leader; a frozen one wakes after that has ended."""
    first = _start(site, fault)
    end_s = time.monotonic() + LIMIT_S
    while not (is_hit := _is_hit(first)) and asyncio.run(_is_open(site, identity)) and time.monotonic() < end_s:
        time.sleep(0.03)
    tally.at["after its end" if not is_hit else fault_name(fault)] += 1
    hit_s = time.monotonic()
    second = _start(site, Fault())
    while second.is_alive() and asyncio.run(_is_open(site, identity)) and time.monotonic() < end_s:
        time.sleep(0.05)
    tally.takeover_s.append(time.monotonic() - hit_s)
    if not second.is_alive():
        tally.wrong.append(f"{identity}: the next leader ended by itself, with {second.exitcode}")
    _end(second)
    if is_hit and fault.number == signal.SIGSTOP:
        os.kill(first.pid or 0, signal.SIGCONT)
        time.sleep(LEASE_S)  # what it had begun it tries to end now
    _end(first)


def fault_name(fault: Fault) -> str:
    """In words."""
    return "killed" if fault.number == signal.SIGKILL else "frozen"


def _start(site: Site, fault: Fault) -> "multiprocessing.context.ForkProcess":
    process = _FORK.Process(target=_run_leader, args=(site, fault), daemon=False)
    process.start()
    return process


def _run_leader(site: Site, fault: Fault) -> None:
    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        await lead(site, fault, stop)

    asyncio.run(main())


def _is_hit(process: "multiprocessing.context.ForkProcess") -> bool:
    if not process.is_alive():
        return True
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _end(process: "multiprocessing.context.ForkProcess") -> None:
    process.terminate()
    process.join(10)
    if process.is_alive():
        process.kill()
        process.join()


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


async def _prepare(site: Site) -> None:
    store = open_store(site.database_url)
    await store.observations.version()
    await store.close()


async def _enqueue(site: Site, identity: str) -> None:
    store = open_store(site.database_url)
    body: dict[str, object] = {
        "model": "synthetic:tiny", "runtimes": ["sim"], "order": "sequential",
        "workloads": [{"name": "w", "qps": 1, "requests": 2}],
    }  # fmt: skip
    run = QueuedRun(id=f"{identity}-r", model="synthetic:tiny", runtime="sim", workload="w")
    await store.benchmarks.enqueue(
        QueuedBenchmark(id=identity, body=body, runs=(run,), created_at=""), idempotency=None
    )
    await store.close()


async def _is_open(site: Site, identity: str) -> bool:
    store = open_store(site.database_url)
    try:
        return bool((await store.benchmarks.get(identity)).open_runs)
    finally:
        await store.close()


async def _check(site: Site, identity: str) -> tuple[str, str, list[str]]:
    """The state of one run, how often it was taken up, and what is wrong with it."""
    store = open_store(site.database_url)
    blobs = open_blobs(site.artifacts_url, env=site.env, default=site.work)
    try:
        queued = await store.benchmarks.get(identity)
        told = (str(queued.status), queued.facts.get("taken_up", "0"))
        if queued.status is RunStatus.INTERRUPTED and queued.runs[0].cause:
            return *told, []
        if queued.status is not RunStatus.SUCCEEDED:
            return *told, [f"its state is {queued.status} ({queued.runs[0].cause})"]
        kept, wrong = await store.kept.find(identity), []
        if kept.id != f"of-{identity}" or len(kept.artifacts) != _FILES:
            wrong.append(f"kept {kept.id} with {len(kept.artifacts)} files")
        for artifact in kept.artifacts:
            file = site.work / "check"
            await blobs.get(artifact.sha256, file)
            if hashlib.sha256(file.read_bytes()).hexdigest() != artifact.sha256:
                wrong.append(f"{artifact.name} has other bytes")
        return *told, wrong
    finally:
        await store.close()


async def _check_all(site: Site, count: int) -> list[str]:
    """What is wrong with all of them together."""
    store = open_store(site.database_url)
    blobs = open_blobs(site.artifacts_url, env=site.env, default=site.work)
    try:
        kept = await store.kept.recent(limit=count + 10)
        ids = [one.queued_id for one in kept]
        wrong = [] if len(ids) == len(set(ids)) else ["a benchmark is kept twice"]
        await Archive(blobs=blobs, rows=store.blobs, kept=store.kept).sweep(grace_s=-1)
        named = {a.sha256 for one in kept for a in (await store.kept.find(one.id)).artifacts}
        there = {one.sha256 async for one in blobs.list()}
        if named - there:
            wrong.append(f"{len(named - there)} rows without their file")
        if there - named:
            wrong.append(f"{len(there - named)} files without a row after a sweep")
        return wrong
    finally:
        await store.close()


if __name__ == "__main__":
    sys.exit(main())
