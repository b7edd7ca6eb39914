"""Kills and freezes while a run is written, on a real PostgreSQL and S3: `benchmarks/store/kills.py` in short.

It is a process of its own: leaders are forked off it, which one with threads (the S3 client has some) could not do.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_whatever_is_killed_or_frozen_while_a_run_is_written_it_has_one_true_end() -> None:
    seed = random.randrange(10**6)
    done = subprocess.run(
        [sys.executable, "benchmarks/store/kills.py", "--kills", "3", "--freezes", "1", "--lanes", "2",
         "--minutes", "1.5", "--seed", str(seed)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": "benchmarks:dev"}, capture_output=True, text=True, timeout=115,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"seed {seed}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert "{'SIGKILL': 3, 'SIGSTOP': 1}" in done.stdout
    assert done.stdout.rstrip().endswith("passed")
