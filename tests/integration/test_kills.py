"""Kills and freezes while a run is written, on a real PostgreSQL and S3: `benchmarks/store/kills.py` in short."""

from pathlib import Path

from databases import Databases
from s3_rig import S3

from store.kills import make_site, torment


def test_whatever_is_killed_or_frozen_while_a_run_is_written_it_has_one_true_end(
    tmp_path: Path, databases: Databases, rclone: S3
) -> None:
    url = rclone.url(prefix=tmp_path.name)
    site = make_site(tmp_path, database_url=databases.new(), artifacts_url=url, env=dict(rclone.env))
    tally = torment(site, kills=2, freezes=1, seed=7, say=lambda line: None)
    assert tally.wrong == []
    assert sum(tally.states.values()) == 3
