"""Conversations, users who leave and a dataset of chats, from a file to the record, on the simulator."""

import json
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command import Run

SPEC = """
model: synthetic:tiny
runtimes: [sim]
workloads:
  - {name: talks, qps: 4, requests: 9, turns: 3, think_time_s: 0.05, prompt_len: 24, gen_tokens: 8}
  - {name: held, concurrency: 2, requests: 8, turns: 2, prompt_len: 24, gen_tokens: 8}
  - {name: left, qps: 20, requests: 20, prompt_len: 24, gen_tokens: 200, cancel_share: 0.4, cancel_after_s: 0.1}
  - {name: rush, steps: [{qps: 4, duration_s: 1}, {qps: 30, duration_s: 0.5}], prompt_len: 24, gen_tokens: 8}
  - {name: data, qps: 20, requests: 4, dataset: chats.jsonl}
"""
CHAT = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}], "max_tokens": 5}


@pytest.fixture(params=["completions", "chat"])
def run(request: pytest.FixtureRequest, tokenforge: Run, tmp_path: Path) -> Path:
    """The folder of a finished benchmark."""
    (tmp_path / "b.yaml").write_text(SPEC)
    (tmp_path / "chats.jsonl").write_text(json.dumps(CHAT))
    chat = ["--chat"] if request.param == "chat" else []
    done = tokenforge("bench", "b.yaml", "--out", "out", "--no-calibration", *chat)
    assert done.returncode == 0, done.stderr
    return tmp_path / "out"


def test_every_load_is_offered_as_planned_and_told_in_its_own_words(run: Path) -> None:
    record = json.loads((run / "record.json").read_text())
    summaries = {one["workload"]: one for one in record["summary"]["runs"]}
    rows = pq.read_table(run / "requests.parquet").to_pylist()
    of = {name: sorted((r for r in rows if r["workload"] == name), key=lambda r: r["index"]) for name in summaries}

    assert {name: one["errors"] for name, one in summaries.items()} == dict.fromkeys(summaries, 0)
    assert len(of["talks"]) == 9
    for before, after in pairwise(of["talks"]):
        if after["index"] % 3:
            assert after["scheduled_ns"] - before["end_ns"] == 50_000_000
            assert after["prompt_tokens"] - before["prompt_tokens"] >= 32
    assert len(of["held"]) == 8
    assert 0 < summaries["left"]["outcomes"]["hung_up"] == 20 - summaries["left"]["ok"]
    assert {row["output_tokens"] for row in of["data"]} == {5}
    assert "hung up as planned" in (run / "report.html").read_text()
