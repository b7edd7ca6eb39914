"""Kills and freezes while a run is written, on a real PostgreSQL and S3: `benchmarks/store/kills.py` in short."""

import random
from pathlib import Path

from databases import Databases
from s3_rig import S3

from store.site import make_site
from store.torment import find_steps, jobs_for, torment


def test_whatever_is_killed_or_frozen_while_a_run_is_written_it_has_one_true_end(
    tmp_path: Path, databases: Databases, rclone: S3
) -> None:
    url = rclone.url(prefix=tmp_path.name)
    site = make_site(tmp_path, database_url=databases.new(), artifacts_url=url, env=dict(rclone.env))
    steps = find_steps(site)
    assert {step.split()[0] for step in steps} >= {"SqlBenchmarks.step", "SqlKept.claim", "put", "SqlKept.keep"}
    jobs = jobs_for(steps, kills=3, freezes=1, seed=random.randrange(10**6))
    tally = torment(site, jobs, seed=7, say=lambda line: None, limit_s=90)
    assert tally.wrong == []
    assert sum(tally.hit.values()) == 4
