"""`compare` on the simulator: from two names to a verdict, a page and an exit code."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from command import COMMAND, Run
from own_children import children_with

LOAD = ("--model", "synthetic:tiny", "--requests", "6", "--prompt-len", "16", "--gen-tokens", "8", "--quads", "3")
SLOW = ("--engine-args-a", "step_ms=20", "--engine-args-b", "step_ms=40")
OUT = ("--no-calibration", "--out", "out")
QUICK = (*OUT, "--no-parity")


def record_of(folder: Path) -> Any:
    return json.loads((folder / "record.json").read_text())


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Path, subprocess.CompletedProcess[str]]":
    """The folder and the words of one comparison, run once for the tests that only look at it."""
    folder = tmp_path_factory.mktemp("compared")
    done = subprocess.run(
        [*COMMAND, "compare", "sim", "sim", *LOAD, *SLOW, *OUT],
        cwd=folder, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    return folder / "out", done


def test_a_side_that_takes_twice_as_long_is_worse(
    measured: "tuple[Path, subprocess.CompletedProcess[str]]",
) -> None:
    folder, done = measured
    assert done.returncode == 1, done.stderr
    first, second = [line for line in done.stdout.splitlines() if line][:2]
    assert first.startswith("SUSPECT")
    assert second.startswith("sim@0.1.0 (B) (simulated) is worse: ")
    assert done.stdout.splitlines()[3].startswith("Outputs agree: ")
    trials = [run["trials"] for run in record_of(folder)["runs"]]
    a, b = [[trial["plan_digest"] for trial in side] for side in trials]
    assert a == b
    assert len(set(a)) == 6
    assert [[trial["engine_start"] for trial in side] for side in trials] == [[0, 0, 1, 1, 2, 2]] * 2


def test_the_page_is_rebuilt_byte_for_byte_and_a_bundle_is_checked(
    tokenforge: Run, tmp_path: Path, measured: "tuple[Path, subprocess.CompletedProcess[str]]"
) -> None:
    shutil.copytree(measured[0], tmp_path / "out")
    assert tokenforge("report", "out").returncode == 0
    assert (tmp_path / "out" / "report.html").read_bytes() == (measured[0] / "report.html").read_bytes()
    assert tokenforge("export", "out", "-o", "c.tgz").returncode == 0
    assert tokenforge("reproduce", "c.tgz").returncode == 0
    again = tokenforge("reproduce", "c.tgz", "--run")
    assert again.returncode == 2
    assert "run it again yourself: tokenforge compare sim sim" in again.stderr


def test_a_runtime_is_compared_with_a_server_that_runs_and_that_is_left_alone(tokenforge: Run, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(
        "model: synthetic:tiny\nruntimes: [sim]\nworkloads:\n  - {name: w, qps: 0.2, duration_s: 60, prompt_len: 8}\n"
    )
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    server = subprocess.Popen(
        [*COMMAND, "bench", "b.yaml", "--out", "held", "--no-calibration"],
        cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = _url_of_child(server.pid)
        done = tokenforge("compare", url, "sim", *LOAD, "--engine-args-b", "step_ms=20", *QUICK, "--json")
        assert done.returncode in {0, 1, 2}, done.stderr
        found = json.loads(done.stdout)["record"]["summary"]["head_to_head"]
        assert found["a"] == url.removeprefix("http://")
        assert [one["code"] for one in found["reasons"]] == ["server_not_ours"]
        assert server.poll() is None
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)


def _url_of_child(pid: int, *, limit_s: float = 30) -> str:
    """The address of the worker that the command started."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        for child in children_with("tokenforge.worker", of=pid):
            for one in child.net_connections(kind="tcp"):
                if one.status == psutil.CONN_LISTEN:
                    return f"http://{one.laddr.ip}:{one.laddr.port}"
        time.sleep(0.1)
    raise AssertionError("no worker listens")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("sim", "sim"), "--model"),
        (("sim", "simm", *LOAD), "did you mean sim?"),
        (("sim", "http://127.0.0.1:9", *LOAD), "127.0.0.1:9"),
        (("sim", "sim", *LOAD, "--engine-args-a", "stepms=3"), "step_ms"),
        (("sim", "sim", *LOAD, "--quads", "1"), "--quads"),
    ],
)
def test_input_that_cannot_be_used_is_one_clear_error_and_never_a_verdict(
    tokenforge: Run, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = tokenforge("compare", *arguments, *QUICK)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "record.json").exists()
