"""What was measured is remembered: listed, carried elsewhere, forgotten; and taken up again when it was killed."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from command import COMMAND

BENCHMARK = """
model: synthetic:tiny
runtimes: [sim]
order: sequential
trials: 3
workloads: [{name: w, qps: 40, requests: 40, prompt_len: 16, gen_tokens: 4}]
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "TOKENFORGE_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "COLUMNS": "160"}


def run(env: dict[str, str], folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False
    )


def listed(env: dict[str, str], folder: Path, *arguments: str) -> list[dict[str, object]]:
    done = run(env, folder, "runs", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def bench(env: dict[str, str], folder: Path) -> str:
    (folder / "b.yaml").write_text(BENCHMARK)
    done = run(env, folder, "bench", "b.yaml", "--out", "out", "--no-calibration", "--trials", "1")
    assert done.returncode == 0, done.stderr
    return str(listed(env, folder)[0]["id"])


def test_a_run_is_listed_exported_forgotten_and_imported_again(tmp_path: Path, env: dict[str, str]) -> None:
    identity = bench(env, tmp_path)
    assert run(env, tmp_path, "runs", "export", identity, "-o", "run.tgz").returncode == 0
    assert run(env, tmp_path, "runs", "prune", "--keep", "0").stdout.startswith("1 benchmarks forgotten")
    assert run(env, tmp_path, "runs", "export", identity).returncode == 2
    done = run(env, tmp_path, "runs", "import", "run.tgz")
    assert (done.returncode, done.stderr) == (0, "")
    assert run(env, tmp_path, "runs", "export", f"{identity}-00-w", "-o", "again.tgz").returncode == 0
    assert (tmp_path / "again.tgz").read_bytes() == (tmp_path / "run.tgz").read_bytes()


@pytest.mark.parametrize("arguments", [["prune"], ["prune", "--older-than", "soon"], ["--status", "well"]])
def test_what_cannot_be_used_is_told(tmp_path: Path, env: dict[str, str], arguments: list[str]) -> None:
    done = run(env, tmp_path, "runs", *arguments)
    assert done.returncode == 2
    assert "the command has 1 fault" in done.stderr


def test_the_list_of_an_older_version_is_taken_over_once(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "home").mkdir()
    with closing(sqlite3.connect(tmp_path / "home" / "tokenforge.db")) as db, db:
        db.executescript("""
            CREATE TABLE benchmark (id TEXT PRIMARY KEY, created_at TEXT, folder TEXT, spec_hash TEXT, headline TEXT);
            CREATE TABLE run (id TEXT, benchmark_id TEXT, model TEXT, runtime TEXT, workload TEXT, status TEXT,
                              cause TEXT);
            INSERT INTO benchmark VALUES ('b', '2026-01-01T00:00:00Z', '/x', 'h', '[''one'', ''two'']');
            INSERT INTO run VALUES ('b-0', 'b', 'm', 'sim', 'w', 'failed', NULL);
        """)
    for _ in range(2):
        (row,) = listed(env, tmp_path, "--runtime", "sim")
        assert (row["id"], row["folder"], row["headline"]) == ("b", "/x", "one\ntwo")
    assert not (tmp_path / "home" / "tokenforge.db").exists()


def until(path: Path, pattern: str, count: int) -> None:
    end_s = time.monotonic() + 60
    while len(list(path.glob(pattern))) < count:
        assert time.monotonic() < end_s, f"no {pattern} in {path}"
        time.sleep(0.02)


def test_a_benchmark_that_was_killed_is_taken_up_with_its_whole_trials(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / "b.yaml").write_text(BENCHMARK)
    (tmp_path / "targets.json").write_text("[]")
    command = [*COMMAND, "run-queued", "b.yaml", "--targets", "targets.json", "--out", "out"]
    first = subprocess.Popen(command, cwd=tmp_path, env=env, start_new_session=True, stderr=subprocess.DEVNULL)
    until(tmp_path / "out", "**/trial.json", 1)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    kept = [json.loads(path.read_bytes())["record"] for path in sorted(tmp_path.glob("out/**/trial.json"))]
    again = subprocess.run(
        [*command, "--taken-up-because", "the power went"], cwd=tmp_path, env=env, timeout=100, check=False,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    trials = json.loads((tmp_path / "out" / "record.json").read_bytes())["runs"][0]["trials"]
    assert [trial["trial"] for trial in trials] == [0, 1, 2]
    assert trials[: len(kept)] == kept
    assert "the power went" in (tmp_path / "out" / "report.html").read_text()
