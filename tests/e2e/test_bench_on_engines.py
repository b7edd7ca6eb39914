"""The main job on real engines: vLLM and Transformers, started by the command, loaded over HTTP, compared."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command import Run

SPEC = """
model: synthetic:tiny
runtimes: [vllm, transformers]
trials: 3
workloads:
  - {name: steady, qps: 5, duration_s: 2, prompt_len: 48, gen_tokens: 12}
  - {name: closed, concurrency: 2, requests: 6, prompt_len: 48, gen_tokens: 12}
"""


@pytest.mark.engine
@pytest.mark.timeout(1500)
def test_both_engines_are_measured_and_compared(tokenforge: Run, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(SPEC)
    done = tokenforge("bench", "b.yaml", "--out", "out", timeout_s=1400)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "out" / "record.json").read_text())
    versions = {run["engine"]["engine"]: run["engine"]["engine_version"] for run in record["runs"]}
    packages = record["runs"][0]["engine"]["packages"]
    assert versions.keys() == {"vllm", "transformers"}
    assert all(version[0].isdigit() for version in versions.values())
    assert packages["torch"]
    rows = pq.read_table(tmp_path / "out" / "requests.parquet").to_pylist()
    assert {row["outcome"] for row in rows} == {"ok"}
    assert {row["output_tokens"] for row in rows} == {12}
    assert all(row["counted_tokens"] == row["output_tokens"] for row in rows)
    assert all(row["prompt_tokens"] == 48 for row in rows)
    assert len({trial["plan_digest"] for run in record["runs"] for trial in run["trials"]}) == 6
    sentences = [c["sentence"] for c in record["summary"]["comparisons"]]
    assert any("vllm@" in sentence and "transformers@" in sentence for sentence in sentences)
    for run in record["summary"]["runs"]:
        stages = {part for stage in run["ledger"]["stages"] for part in stage["parts"] if len(stage["parts"]) == 1}
        assert stages >= {"network", "worker", "queue", "prefill", "decode", "stall"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(f"{name}@" in page for name in versions)
