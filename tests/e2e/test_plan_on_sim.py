"""A capacity on the simulator, from file to plan."""

import json
from pathlib import Path

import pytest
from command import Run

SPEC = """
model: synthetic:tiny
runtimes: [sim]
engine_args: {sim: {max_num_seqs: 1, step_ms: 50, decode_ms: 0}}
workloads:
  - {name: load, arrival: constant, qps: 5, duration_s: 1, prompt_len: 8, gen_tokens: 2}
"""
SHORT = ("--probe-s", "4", "--max-trials", "6", "--out", "out")


def test_a_server_of_ten_requests_a_second_is_found_and_a_trace_gives_replicas(tokenforge: Run, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(SPEC)
    (tmp_path / "rates").write_text("5\n20\n")
    slo = "ttft_ms=250,attainment=0.9"
    done = tokenforge("plan", "b.yaml", "--slo", slo, "--trace", "rates", "--price-per-hour", "2", *SHORT)
    assert done.returncode in {0, 1}, done.stderr
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())["runtimes"][0]
    assert 7 < plan["capacity"]["value"] < 13, done.stdout
    assert (tmp_path / "out" / "record.json").exists()
    assert "<svg" in (tmp_path / "out" / "plan.md").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [((), "a capacity needs limits"), (("--slo", "llama9"), "llama3.1-8b"), (("--headroom", "2"), "--headroom = 2")],
)
def test_input_that_cannot_be_used_is_one_clear_error(
    tokenforge: Run, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    (tmp_path / "b.yaml").write_text(SPEC)
    done = tokenforge("plan", "b.yaml", *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
