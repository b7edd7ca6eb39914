"""Kill or freeze a process at every step of writing a run, on a real PostgreSQL and a real S3; then look around.

    PYTHONPATH=benchmarks:dev python benchmarks/store/kills.py --kills 200 --freezes 50 --seed 1

A leader runs a queued benchmark and is killed (`kill -9`) or frozen (SIGSTOP, past its lease) at a step; every step of
an undisturbed run is drawn as often as every other, and those of the load itself. Another leader takes over; a frozen
one is woken when that has ended the run. Lanes do so side by side, each with a database and a prefix of its own on one
PostgreSQL and one S3. Each time, and over all at the end:

- the run has its end, and a true one; no key of its load is left;
- every file that a row names is in S3 with its bytes, and is that run's own;
- a benchmark is kept once, with each of its files once, also after a frozen one woke;
- after a sweep S3 holds what rows name and nothing else, and no upload in parts that nobody ended.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from servers.postgres import Postgres
from servers.s3 import RcloneS3
from store.site import Site, make_site
from store.torment import Job, Tally, find_steps, jobs_for, prepare, torment

_FORK = multiprocessing.get_context("fork")


def main() -> int:
    """Do it; 1 when anything was found wrong, or fewer faults came than were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--freezes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=8, help="how many runs at once")
    parser.add_argument("--minutes", type=float, default=60.0, help="end after so long, wherever it is")
    asked = parser.parse_args()
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        postgres, s3 = Postgres(folder=folder / "postgres", max_connections=300), RcloneS3(folder=folder / "s3")
        try:
            postgres.start()
            s3.start()
            sites = [_site(folder, postgres, s3, lane) for lane in range(asked.lanes)]
            steps = find_steps(sites[0])
            jobs = jobs_for(steps, kills=asked.kills, freezes=asked.freezes, seed=asked.seed)
            tell(f"{len(steps)} steps of control and 5 of the load; {len(jobs)} faults in {asked.lanes} lanes")
            tally = _in_lanes(sites, jobs, seed=asked.seed, limit_s=asked.minutes * 60)
        finally:
            s3.stop()
            postgres.stop("immediate")
    return _conclude(tally, steps, wanted=len(jobs), took_s=time.monotonic() - began_s)


def tell(line: str) -> None:
    """To who looks on, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _site(folder: Path, postgres: Postgres, s3: RcloneS3, lane: int) -> Site:
    url = s3.url().replace("/artifacts?", f"/lane{lane}?")
    site = make_site(
        folder / f"lane{lane}", database_url=postgres.make_database(f"lane{lane}"), artifacts_url=url, env=s3.env()
    )
    prepare(site)
    return site


def _in_lanes(sites: Sequence[Site], jobs: Sequence[Job], *, seed: int, limit_s: float) -> Tally:
    lanes = []
    for lane, site in enumerate(sites):
        ours, theirs = _FORK.Pipe(duplex=False)
        mine = jobs[lane :: len(sites)]
        process = _FORK.Process(target=_lane, args=(site, mine, seed + lane, limit_s, lane, theirs))
        process.start()
        theirs.close()
        lanes.append((process, ours))
    whole = Tally()
    for lane, (process, ours) in enumerate(lanes):
        try:
            whole.add(ours.recv())
        except EOFError:
            whole.wrong.append(f"lane {lane} ended without a result")
        process.join()
    return whole


def _lane(site: Site, jobs: Sequence[Job], seed: int, limit_s: float, lane: int, result: Connection) -> None:
    result.send(torment(site, jobs, seed=seed, say=lambda line: tell(f"lane {lane}: {line}"), limit_s=limit_s))


def _conclude(tally: Tally, steps: Sequence[str], *, wanted: int, took_s: float) -> int:
    by_signal = Counter[str]()
    for (name, step), count in sorted(tally.hit.items()):
        by_signal[name] += count
        tell(f"  {name} at {step}: {count}")
    unhit = [step for step in steps if not tally.hit["SIGKILL", step]]
    tell(f"{dict(by_signal)} in {took_s:.0f} s; steps that no kill came at: {', '.join(unhit) or 'none'}; "
         f"runs without their fault: {tally.unreached.total()}")  # fmt: skip
    tell(f"ends {dict(tally.states)}, taken up {dict(tally.taken_up)}, over at most "
         f"{max(tally.takeover_s, default=0):.1f} s after")  # fmt: skip
    is_whole = by_signal.total() >= wanted
    tell("FAILED" if tally.wrong else "passed" if is_whole else f"passed what was run: {by_signal.total()} of {wanted}")
    return 1 if tally.wrong or not is_whole else 0


if __name__ == "__main__":
    sys.exit(main())
