"""`compare` on real engines: one verdict with an interval; an engine against itself has no winner."""

import json
from pathlib import Path

import pytest
from command import Run

LOAD = ("--model", "synthetic:tiny", "--requests", "12", "--prompt-len", "32", "--gen-tokens", "12", "--quads", "3")
QUICK = ("--restart", "never", "--no-calibration", "--out", "out", "--json")


@pytest.mark.engine
@pytest.mark.timeout(1500)
def test_two_engines_get_one_verdict_with_an_interval_and_say_the_same(tokenforge: Run, tmp_path: Path) -> None:
    done = tokenforge("compare", "transformers", "vllm", *LOAD, *QUICK, timeout_s=1400)
    found = json.loads(done.stdout)["record"]["summary"]["head_to_head"]
    codes = {"better": 0, "equivalent": 0, "worse": 1, "inconclusive": 2}
    assert done.returncode == codes[found["verdict"]], done.stderr
    assert found["primary"]["low"] < found["primary"]["ratio"] < found["primary"]["high"]
    assert len(found["primary"]["quads"]) == 3
    assert found["parity"]["verdict"] == "PASS", found["parity"]["sentence"]
    idle = [
        trial["idle_cpu_share"]
        for run in json.loads((tmp_path / "out" / "record.json").read_text())["runs"]
        for trial in run["trials"]
    ]
    assert all(share is not None for share in idle)
