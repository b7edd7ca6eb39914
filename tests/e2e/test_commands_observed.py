"""Commands that offer load are seen while they do: a page of metrics, and logs in one form."""

import json
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from command import COMMAND
from platform_rig import free_port

SPEC = """
model: synthetic:tiny
runtimes: [sim]
engine_args: {sim: {step_ms: 5, decode_ms: 0}}
workloads:
  - {name: load, arrival: constant, qps: 5, duration_s: 20, prompt_len: 8, gen_tokens: 2}
"""
LOAD = ("--model", "synthetic:tiny", "--requests", "40", "--prompt-len", "16", "--gen-tokens", "20", "--quads", "3")
COMMANDS = {
    "bench": ("bench", "b.yaml", "--out", "out"),
    "plan": ("plan", "b.yaml", "--slo", "ttft_ms=250", "--out", "out"),
    "compare": ("compare", "sim", "sim", *LOAD, "--no-calibration", "--no-parity", "--out", "out"),
}
COUNTED = "tokenforge_benchmark_requests_total{"
LIMIT_S = 60.0


def page_of(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_page_while_it_measures_and_its_words_are_json(
    name: str, tmp_path: Path, command_env: dict[str, str]
) -> None:
    (tmp_path / "b.yaml").write_text(SPEC)
    port = free_port()
    env = {**command_env, "TOKENFORGE_METRICS_LISTEN": f"127.0.0.1:{port}", "TOKENFORGE_LOG": "json"}
    process = subprocess.Popen(
        [*COMMAND, *COMMANDS[name]], cwd=tmp_path, env=env, text=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    end_s, page = time.monotonic() + LIMIT_S, ""
    while COUNTED not in page and process.poll() is None and time.monotonic() < end_s:
        time.sleep(0.1)
        page = page_of(port)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert COUNTED in page, said
    lines = [json.loads(line) for line in said.splitlines()]
    assert any("loading" in line["message"] or "ready" in line["message"] for line in lines), said
    assert {line["process"] for line in lines} == {"command"}
