"""Recorded loads at their edges: other time zones of writing, numbers beyond reason."""

import json
from pathlib import Path

import pytest

from tokenforge.bench.traces import read_trace
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.workload import Trace, TraceFormat


def a_trace(path: Path, kind: TraceFormat, *lines: str) -> Trace:
    path.write_text("\n".join(lines) + "\n")
    return Trace(path=str(path), format=kind)


def test_azure_times_may_name_utc_as_the_trace_of_2024_does(tmp_path: Path) -> None:
    head = "TIMESTAMP,ContextTokens,GeneratedTokens"
    rows = ("2024-05-10 00:00:00.009930+00:00,2162,5", "2024-05-10 00:00:01+00:00,2399,6")
    trace = a_trace(tmp_path / "a.csv", TraceFormat.AZURE, head, *rows)
    assert [row.at_ns for row in read_trace(trace).rows] == [0, 990_070_000]


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": float("inf")},
        {"timestamp": float("nan")},
        {"input_length": 10**12},
        {"output_length": -1},
        {"hash_ids": ["x"]},
        {"hash_ids": [[1]]},
    ],
)
def test_an_impossible_number_is_named_by_its_line(tmp_path: Path, change: dict[str, object]) -> None:
    row = {"timestamp": 0, "input_length": 8, "output_length": 4, "hash_ids": [1]}
    trace = a_trace(tmp_path / "m.jsonl", TraceFormat.MOONCAKE, json.dumps(row), json.dumps({**row, **change}))
    with pytest.raises(InvalidInput, match="line 2"):
        read_trace(trace)


def test_a_binary_file_is_a_bad_row_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(bytes(range(256)) * 40)
    with pytest.raises(InvalidInput, match="line 1"):
        read_trace(Trace(path=str(tmp_path / "b.jsonl"), format=TraceFormat.MOONCAKE))
