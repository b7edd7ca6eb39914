"""The whole path on the simulator: file to report, and everything that can go wrong on the way."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from command import COMMAND, Run
from own_children import words_of

Start = Callable[[], "subprocess.Popen[str]"]
SPEC = """
model: synthetic:tiny
runtimes: [sim]
trials: 2
workloads:
  - {name: open, qps: 20, duration_s: 1, prompt_len: 32, gen_tokens: 8}
  - {name: closed, concurrency: 2, requests: 6, prompt_len: 32, gen_tokens: 8}
"""
LONG = SPEC.replace("duration_s: 1", "duration_s: 60")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "b.yaml"
    path.write_text(SPEC)
    return path


def read_record(folder: Path) -> dict[str, object]:
    record = json.loads((folder / "record.json").read_text())
    assert isinstance(record, dict)
    return record


def children_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def wait_for(condition: Callable[[], object], *, limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.05)


@pytest.fixture
def running(tmp_path: Path, command_env: dict[str, str]) -> Iterator[Start]:
    """Start a long benchmark and return once its load has begun."""
    started: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        (tmp_path / "long.yaml").write_text(LONG)
        process = subprocess.Popen(
            [*COMMAND, "bench", "long.yaml", "--out", "out"],
            cwd=tmp_path, env=command_env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        journals = tmp_path / "out" / "journals"
        wait_for(lambda: any(p.stat().st_size > 2000 for p in journals.glob("*/*/trial-*/*.journal")))
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_a_benchmark_ends_with_its_files_and_says_where_they_are(tokenforge: Run, spec: Path, tmp_path: Path) -> None:
    done = tokenforge("bench", str(spec), "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "out/report.html" in done.stdout
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "record.json",
        "report.html",
        "report.md",
        "requests.parquet",
    }


def test_output_tokens_are_what_the_engine_said_and_every_stamp_is_there(
    tokenforge: Run, spec: Path, tmp_path: Path
) -> None:
    assert tokenforge("bench", str(spec), "--out", "out", "--no-calibration").returncode == 0
    rows = pq.read_table(tmp_path / "out" / "requests.parquet").to_pylist()
    assert {row["output_tokens"] for row in rows} == {8}
    assert all(sum(row["chunk_tokens"]) == row["output_tokens"] == row["counted_tokens"] for row in rows)
    assert all(row["sent_ns"] <= row["headers_ns"] <= row["first_ns"] <= row["end_ns"] for row in rows)


def test_the_ledger_knows_every_stage_and_adds_up(tokenforge: Run, spec: Path, tmp_path: Path) -> None:
    done = tokenforge("bench", str(spec), "--out", "out", "--no-calibration")
    assert done.returncode == 0
    assert "Time of the mean request: sim@" in done.stdout
    for run in read_record(tmp_path / "out")["summary"]["runs"]:  # type: ignore[index]
        ledger = run["ledger"]
        named = [stage["parts"] for stage in ledger["stages"]]
        assert [part for (part,) in named][-6:] == ["network", "worker", "queue", "prefill", "decode", "stall"]
        total = sum(stage["mean"]["value"] for stage in ledger["stages"])
        assert total == pytest.approx(ledger["e2e"]["mean"]["value"], abs=1e-6)
        assert ledger["left_out"] == 0


def test_the_record_holds_versions_plans_and_a_verdict(tokenforge: Run, spec: Path, tmp_path: Path) -> None:
    assert tokenforge("bench", str(spec), "--out", "out", "--no-calibration").returncode == 0
    run = read_record(tmp_path / "out")["runs"][0]  # type: ignore[index]
    assert (run["status"], run["engine"]["engine"], len(run["trials"])) == ("succeeded", "sim", 2)
    assert len(run["trials"][0]["plan_digest"]) == 64


def test_each_workload_is_calibrated_unless_told_otherwise(tokenforge: Run, spec: Path, tmp_path: Path) -> None:
    assert tokenforge("bench", str(spec), "--out", "out").returncode == 0
    found = {one["workload"]: one for one in read_record(tmp_path / "out")["calibration"]}  # type: ignore[attr-defined]
    assert {name: one["cause"] for name, one in found.items()} == {"open": None, "closed": None}
    assert all(one["ttft_error"]["p99_ms"] < 20 and one["itl_error"]["count"] > 100 for one in found.values())
    assert not (tmp_path / "out" / "journals").exists()
    assert tokenforge("bench", str(spec), "--out", "not", "--no-calibration").returncode == 0
    assert read_record(tmp_path / "not")["calibration"] == []


def test_the_report_is_rebuilt_byte_for_byte(tokenforge: Run, spec: Path, tmp_path: Path) -> None:
    assert tokenforge("bench", str(spec), "--out", "out").returncode == 0
    before = (tmp_path / "out" / "report.html").read_bytes()
    assert tokenforge("report", "out").returncode == 0
    assert (tmp_path / "out" / "report.html").read_bytes() == before


def test_the_same_seed_gives_the_same_plans_and_another_seed_others(
    tokenforge: Run, spec: Path, tmp_path: Path
) -> None:
    digests = []
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert tokenforge("bench", str(spec), "--out", name, "--seed", seed, "--no-calibration").returncode == 0
        runs = read_record(tmp_path / name)["runs"]
        digests.append([trial["plan_digest"] for run in runs for trial in run["trials"]])  # type: ignore[attr-defined]
    assert digests[0] == digests[1]
    assert not set(digests[0]) & set(digests[2])


def test_json_is_one_document_on_standard_output(tokenforge: Run, spec: Path) -> None:
    done = tokenforge("bench", str(spec), "--out", "out", "--no-calibration", "--json")
    assert json.loads(done.stdout)["record"]["runs"][0]["status"] == "succeeded"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("runtimes:", "runtimez:"), "did you mean runtimes?"),
        (("qps: 20", "qps: -1"), "qps = -1"),
        (("[sim]", "[simm]"), "did you mean sim?"),
        (("synthetic:tiny", "./nowhere"), "nowhere"),
        (("prompt_len: 32", "prompt_len: 4000"), "4000"),
        (("[sim]", "[vllm@0.1.0]"), "vllm@0.1.0"),
        (("synthetic:tiny", "synthetic:tin"), "tiny"),
    ],
)
def test_input_that_cannot_be_used_is_one_clear_error(
    tokenforge: Run, spec: Path, tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    spec.write_text(SPEC.replace(*change))
    done = tokenforge("bench", str(spec), "--out", "out")
    assert done.returncode in {1, 2}
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "record.json").exists()


def test_a_dead_url_is_named(tokenforge: Run) -> None:
    done = tokenforge("bench", "--url", "http://127.0.0.1:9", "--model", "m", "--rate", "1", "--duration", "1")
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr


def test_a_killed_worker_ends_the_run_as_failed_with_its_records_and_no_process_left(
    running: Start, tmp_path: Path
) -> None:
    process = running()
    children = children_of(process)
    worker = next(child for child in children if "tokenforge.worker" in words_of(child))
    killed_at = time.monotonic()
    os.kill(worker.pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - killed_at < 10
    assert process.returncode == 1
    assert "failed" in errors
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    record = read_record(tmp_path / "out")
    assert record["runs"][0]["status"] == "failed"  # type: ignore[index]
    assert "SIGKILL" in record["runs"][0]["cause"] or "signal 9" in record["runs"][0]["cause"]  # type: ignore[index]
    assert pq.read_table(tmp_path / "out" / "requests.parquet").num_rows > 0


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_the_run_as_interrupted_with_its_records(running: Start, tmp_path: Path, times: int) -> None:
    process = running()
    children = children_of(process)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    process.communicate(timeout=20)
    assert process.returncode == 1
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)
    assert read_record(tmp_path / "out")["runs"][0]["status"] == "interrupted"  # type: ignore[index]
    assert pq.read_table(tmp_path / "out" / "requests.parquet").num_rows > 0


def test_a_killed_command_leaves_no_process(running: Start) -> None:
    process = running()
    children = children_of(process)
    process.kill()
    process.communicate(timeout=10)
    wait_for(lambda: not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in children), limit_s=15)
