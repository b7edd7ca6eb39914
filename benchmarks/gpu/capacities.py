"""What a search for capacity found, as a small record and as rows: the rate, its interval, the probes behind it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpu.small import small_record

Plain = Mapping[str, Any]
_LIMITS = {"ttft_ms": "TTFT", "tpot_ms": "TPOT", "e2e_ms": "whole answer"}


def capacity_record(question: str, runs: Sequence[tuple[str, Path]]) -> dict[str, Any]:
    """The folders of `tokenforge plan`, each with the name of its side. Figures are copied, none is computed anew."""
    records = [(name, json.loads((folder / "record.json").read_text(encoding="utf-8"))) for name, folder in runs]
    capacities = [
        _capacity(name, found, plan["rules"], record)
        for (name, record), (_, folder) in zip(records, runs, strict=True)
        for plan in [json.loads((folder / "plan.json").read_text(encoding="utf-8"))]
        for found in plan["runtimes"]
    ]
    return small_record(question, records) | {"points": [], "capacities": capacities}


def capacities_text(capacities: Sequence[Plain]) -> str:
    """A Markdown table; a question mark is an end that was not shown."""
    lines = ["| side | limits | req/s within them | highest shown to hold | lowest shown not to | probes | requests |"]
    lines.append("|---" * 7 + "|")
    for one in capacities:
        rates = [_number(one[name]) for name in ("value", "low", "high")]
        counts = f"{len(one['probes'])} | {sum(probe['attempted'] for probe in one['probes']):,}"
        lines.append(f"| {one['side']} | {_limits_text(one)} | {' | '.join(rates)} | {counts} |")
    notes = [f"{one['side']}: {one['note']}" for one in capacities if one["note"]]
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _capacity(side: str, found: Plain, rules: Plain, record: Plain) -> dict[str, Any]:
    slo = record["benchmark"]["workloads"][0]["slo"]
    return {
        "side": side,
        "runtime": found["runtime"],
        "limits": {name: slo[name] for name in _LIMITS if slo.get(name) is not None},
        "attainment": rules["attainment"],
        **{name: found["capacity"][name] for name in ("value", "low", "high", "note")},
        "probes": [{name: probe[name] for name in ("rate", "good", "attempted")} for probe in found["probes"]],
        "probe_s": rules["max_probe_s"],
    }


def _limits_text(one: Plain) -> str:
    limits = ", ".join(f"{_LIMITS[name]} {limit:g} ms" for name, limit in one["limits"].items())
    return f"{limits} for {one['attainment']:.0%}"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"
