"""The gate as a user runs it: two benchmarks on the simulator, a planted slowdown, and input that can't be used."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command import Run

SPEC = """
model: synthetic:tiny
runtimes: [sim]
trials: 3
engine_args: {sim: {step_ms: STEP}}
workloads:
  - {name: closed, concurrency: 2, requests: 8, prompt_len: 32, gen_tokens: 8}
"""
Bench = Callable[[str, str], Path]


@pytest.fixture
def bench(tokenforge: Run, tmp_path: Path) -> Bench:
    """Run the benchmark with a step of so many ms into a folder."""

    def run(name: str, step_ms: str) -> Path:
        (tmp_path / "b.yaml").write_text(SPEC.replace("STEP", step_ms))
        done = tokenforge("bench", "b.yaml", "--no-calibration", "--out", name)
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    return run


def test_a_planted_slowdown_is_a_regression_on_the_terminal_as_json_and_as_markdown(
    tokenforge: Run, bench: Bench, tmp_path: Path
) -> None:
    bench("before", "10")
    bench("after", "30")
    done = tokenforge("gate", "before", "after", "--summary", "gate.md")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("Regressed: output throughput -")
    assert "engine_args.sim.step_ms: 10 -> 30" in done.stdout
    page = (tmp_path / "gate.md").read_text()
    assert page.startswith("## ❌ Benchmark gate: regressed\n")
    assert "| output throughput, tokens/s |" in page
    answer = json.loads(tokenforge("gate", "before", "after", "--json").stdout)
    assert answer["verdict"] == "regressed"
    assert tokenforge("gate", "after", "before").returncode == 0


def test_the_newest_run_of_a_folder_is_gated_against_those_before(
    tokenforge: Run, bench: Bench, tmp_path: Path, command_env: dict[str, str]
) -> None:
    first = bench("runs/a", "10")
    copies = {"b": "2000-01-02T00:00:00Z", "c": "2000-01-03T00:00:00Z"}
    for name, when in copies.items():
        shutil.copytree(first, tmp_path / "runs" / name)
        path = tmp_path / "runs" / name / "record.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "id": name, "created_at": when}))
    command_env["GITHUB_STEP_SUMMARY"] = str(tmp_path / "job.md")
    done = tokenforge("gate", "--history", "runs", "--margin", "50%", "--github-summary")
    assert done.returncode == 0, done.stderr
    assert "runs/a against 2 runs" in done.stdout
    assert (tmp_path / "job.md").read_text().startswith("## ✅ Benchmark gate: not regressed\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "neither"], "neither does not exist"),
        (["old.json", "old.json"], "tokenforge.record/0"),
        (["cut.json", "cut.json"], "cut.json is not JSON"),
        (["bare.json", "bare.json"], "has no summary"),
        (["one"], "needs two runs"),
        (["--history", "empty"], "holds no runs"),
        (["a", "b", "--margin", "lots"], "is not a share between 0 and 1"),
        (["a", "b", "--metric", "speed"], "--metric = 'speed': is not a metric"),
        (["a", "b", "--github-summary"], "GITHUB_STEP_SUMMARY is not set"),
    ],
)
def test_input_that_cannot_be_used_is_one_clear_error(
    tokenforge: Run, tmp_path: Path, command_env: dict[str, str], arguments: list[str], words: str
) -> None:
    command_env.pop("GITHUB_STEP_SUMMARY", None)
    (tmp_path / "empty").mkdir()
    (tmp_path / "old.json").write_text('{"schema": "tokenforge.record/0"}')
    (tmp_path / "bare.json").write_text('{"schema": "tokenforge.record/1", "runs": []}')
    (tmp_path / "cut.json").write_text('{"schema": ')
    done = tokenforge("gate", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
