"""Records for the gate: only what it reads, with values that a test chooses or draws."""

from collections.abc import Sequence

import numpy as np

from tokenforge.analysis.gate import Gate, GateRules, run_gate
from tokenforge.analysis.gate_reading import GateRun, read_gate_runs
from tokenforge.analysis.gate_selection import Selection, select
from tokenforge.domain.benchmark_record import RECORD_SCHEMA

LATENCIES = ("ttft", "tpot", "e2e")


def a_record(
    values: Sequence[float], *, number: int = 0, loop: str = "closed", step_ms: float = 5.0, verdict: str = "VALID"
) -> dict[str, object]:
    """One run: `values` are its trials' throughput in a closed loop, all its latencies in an open one."""
    suffix = "" if loop == "open" else "_service"
    per_trial = [{"trial": t, "mean": v, "p50": v, "p99": v} for t, v in enumerate(values)]
    latency = {"per_trial": per_trial, "p99": {"value": None, "low": None}}
    reasons = [] if verdict == "VALID" else [{"code": "late", "level": verdict.lower(), "sentence": "It was late."}]
    run = {
        "run_id": "r0", "model": "synthetic:tiny", "runtime": "sim@1.0", "workload": "load", "status": "succeeded",
        "simulated": False, "loop": loop, "attainment_asked": None, "verdict": verdict, "reasons": reasons,
        "trials": [{"trial": t, "output_tokens_per_s": v, "goodput": v} for t, v in enumerate(values)],
        "latencies": {"tpot": latency, "itl": latency, "ttft" + suffix: latency, "e2e" + suffix: latency},
    }  # fmt: skip
    entry = {
        "id": "r0", "model": "synthetic:tiny", "runtime": "sim@1.0", "workload": "load", "status": "succeeded",
        "engine": {"engine_version": "1.0", "packages": {}},
        "trials": [{"trial": t, "plan_digest": f"{t:064d}"} for t in range(len(values))],
    }  # fmt: skip
    return {
        "schema": RECORD_SCHEMA,
        "id": f"id-{number:03d}",
        "created_at": f"2026-01-01T00:{number:02d}:00Z",
        "benchmark": {"workloads": [{"name": "load", "qps": 5.0}], "engine_args": {"sim": {"step_ms": step_ms}}},
        "environment": {"machine": {"cpu_model": "Example CPU", "cpu_threads": 8}, "limits": {}, "gpus": []},
        "endpoint": "completions",
        "runs": [entry],
        "summary": {"runs": [run]},
    }


def gate_runs(records: Sequence[dict[str, object]]) -> list[GateRun]:
    """The runs of records, labelled by their ids."""
    return [run for record in records for run in read_gate_runs(record, label=str(record["id"]))]


def chosen(records: Sequence[dict[str, object]], *, are_named: bool = True, any_hardware: bool = False) -> Selection:
    """The last record against the others."""
    return select(gate_runs(records[-1:]), gate_runs(records[:-1]), are_named=are_named, any_hardware=any_hardware)


def gate(records: Sequence[dict[str, object]], rules: GateRules | None = None) -> Gate:
    """Gate the last record against the others."""
    return run_gate(chosen(records), rules or GateRules())


def drawn(
    chance: np.random.Generator, levels: Sequence[float], *, loop: str = "closed", between: float, within: float
) -> list[dict[str, object]]:
    """A record per level, 5 trials each: a plan's own effect, a run's, and a trial's, all lognormal."""
    plans = chance.normal(0, 0.05, 5)
    return [
        a_record(
            (level * np.exp(plans + chance.normal(0, between) + chance.normal(0, within, 5))).tolist(),
            number=number,
            loop=loop,
        )
        for number, level in enumerate(levels)
    ]
