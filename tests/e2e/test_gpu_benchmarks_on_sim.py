"""The benchmarks of several GPUs and of capacity, run to their end on the simulator: paths, files, no process left."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil

from gpu.keep import kept
from gpu.page import TABLES

ROOT = Path(__file__).parents[2]
SHAPE = ("--model", "synthetic:tiny", "--window", "512")
LIMIT_S = 150


def run(module: str, home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """`python -m MODULE` as a user calls it."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks"), "TOKENFORGE_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", module, *SHAPE, *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def living_in(home: Path) -> list[int]:
    """Processes whose home that is."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TOKENFORGE_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_replicas_and_tensor_parallel_are_measured_through_the_gateway_and_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    load = ("--prompt-len", "16", "--gen-tokens", "4", "--concurrency", "4", "--trials", "1", "--seconds", "0.5")
    done = run("gpu.replicas", tmp_path / "home", "--runtime", "sim", *load, "--out", str(out))
    assert done.returncode == 0, done.stderr
    runs = [(name, out / name) for name in ("replicas", "tensor-parallel")]
    document = kept("replicas", runs)
    assert [point["side"] for point in document["points"]] == ["replicas", "tensor-parallel"]
    assert all(point["errors"] == 0 and point["ok"] > 0 for point in document["points"])
    several, one = (layout["replicas"] for layout in document["layouts"])
    assert len(several) == 2
    assert all(replica["requests"] > 0 for replica in several)
    assert len(one) == 1
    assert "| replicas | sim | 2 | 1 |" in TABLES["layout"](document)
    assert living_in((out / "home").resolve()) == []


def test_a_layout_that_cannot_come_up_is_told_and_the_platform_ended(tmp_path: Path) -> None:
    out = tmp_path / "out"
    wrong = ("--args", '{"no_such_option": 1}', "--layout", "replicas")
    done = run("gpu.replicas", tmp_path / "home", "--runtime", "sim", *wrong, "--out", str(out))
    assert done.returncode == 1
    assert "no_such_option" in done.stderr
    assert "Traceback" not in done.stderr
    assert living_in((out / "home").resolve()) == []


def test_a_capacity_is_found_and_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    search = ("--slo", "ttft_ms=250,attainment=0.9", "--start-rate", "5", "--probe-s", "4", "--max-trials", "5")
    side = "sim=sim:max_num_seqs=1,step_ms=50,decode_ms=0"
    done = run("gpu.capacity", tmp_path / "home", "--side", side, *search, "--prompt-len", "8", "--gen-tokens", "2",
               "--out", str(out))  # fmt: skip
    assert done.returncode in {0, 1}, done.stderr
    document = kept("capacity", [("sim", out / "sim")])
    assert document == json.loads((out / "small.json").read_text())
    (found,) = document["capacities"]
    assert 3 < found["value"] < 13, done.stdout
    assert found["limits"] == {"ttft_ms": 250}
    assert "| sim | TTFT 250 ms for 90% |" in TABLES["capacity"](document)
