"""Figures do not change unless meant to: a summary from before, of two engines in an open loop with every trouble."""

import json
import math
from pathlib import Path

import pyarrow as pa
from record_samples import Engine, Load, requests_file, sample

from tokenforge.analysis.summary import summarise
from tokenforge.domain.canonical import canonical_bytes, to_plain
from tokenforge.store.requests_table import RECORD_COLUMNS, RequestsFile, RunRecords

GOLDEN = Path(__file__).parent / "golden" / "summary_of_two_engines.json"
SLO = {"ttft_ms": 200.0, "tpot_ms": 9.5, "e2e_ms": 400.0, "attainment": 0.9}
ENGINES = [
    Engine(runtime="a", error_share=0.03),
    Engine(runtime="b", step_ms=10, tokens_per_chunk=3, cached_share=0.2),
]
LOADS = [Load(warmup_s=2, slo=SLO)]


def differences(left: object, right: object, where: str = "") -> list[str]:
    """Places of `right` where `left` says something else; numbers may by 1e-9 of their size."""
    if isinstance(left, dict) and isinstance(right, dict):
        keys = sorted(right)
        return [place for key in keys for place in differences(left.get(key), right.get(key), f"{where}.{key}")]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        pairs = enumerate(zip(left, right, strict=True))
        return [place for at, (one, two) in pairs for place in differences(one, two, f"{where}[{at}]")]
    if isinstance(left, float) and isinstance(right, float):
        return [] if math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12) else [f"{where}: {left} {right}"]
    return [] if left == right else [f"{where}: {left} {right}"]


def test_a_summary_is_what_it_was_before() -> None:
    document, requests = sample(ENGINES, LOADS, price_per_hour=2.0)
    summary = to_plain(summarise(document, requests))
    assert differences(summary, json.loads(GOLDEN.read_text())) == []


def test_how_rows_are_grouped_in_the_file_changes_nothing() -> None:
    document, requests = sample(ENGINES, LOADS)
    runs = [in_small_groups(requests, f"sample-{number:02d}-qa-short") for number in range(2)]
    small = requests_file(runs)
    assert canonical_bytes(summarise(document, small)) == canonical_bytes(summarise(document, requests))


def in_small_groups(requests: RequestsFile, run_id: str) -> RunRecords:
    """The same rows, a row group for every 7 requests."""
    trials = [
        pa.Table.from_batches(requests.batches(run_id, trial, RECORD_COLUMNS.names)).cast(RECORD_COLUMNS)
        for trial in requests.trials(run_id)
    ]
    tables = [table.slice(at, 7) for table in trials for at in range(0, len(table), 7)]
    return RunRecords(run_id=run_id, model="synthetic:tiny", runtime="x", workload="w", tables=tables)
