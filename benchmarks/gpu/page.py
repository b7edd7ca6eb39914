"""Write `docs/results/gpu.md` from the small records beside it: every figure on the page is in one of them.

    PYTHONPATH=benchmarks python -m gpu.page

The words are in `page.md`, where `{{latency of sides}}` stands for the table `latency` of the record `sides.json`. They
say no figure that a record could contradict. A table of no record is refused.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gpu.ratios import ratios_text
from gpu.small import Plain
from gpu.table import table_text

FOLDER = Path(__file__).parents[2] / "docs" / "results" / "gpu"
WORDS = Path(__file__).with_name("page.md")
_LOADS = ("c1", "c8", "c32", "c128", "c256", "r8", "r24")
_LEFT_OUT = ("counter_over_integral", "watts", "utilisation", "memory_peak_bytes", "joules_per_token", "verdict")
_LATENCY = ("limit_share", "decode_mbu", "prefill_mfu", *_LEFT_OUT)
_ENERGY = ("output_tokens_per_s", "ttft_p50_ms", "tpot_mean_ms", "limit_share", "decode_mbu", "prefill_mfu")
_ROOFLINE = ("ttft_p50_ms", *_LEFT_OUT)


def main() -> int:
    """Write the page."""
    target = FOLDER.with_suffix(".md")
    target.write_text(page_text(WORDS.read_text(encoding="utf-8"), read_records(FOLDER)), encoding="utf-8")
    print(target)
    return 0


def read_records(folder: Path) -> dict[str, Plain]:
    """Small records by the name of their file."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def page_text(words: str, records: Mapping[str, Plain]) -> str:
    """`words` with their tables. Raises KeyError for a table or a record that is not there."""
    return re.sub(r"{{([\w-]+) of ([\w-]+)}}", lambda found: TABLES[found[1]](records[found[2]]), words)


def ordered(points: Sequence[Plain]) -> list[Plain]:
    """By load, the sides of one load together."""
    return sorted(points, key=lambda point: _LOADS.index(point["load"]) if point["load"] in _LOADS else len(_LOADS))


def speed_ratios(points: Sequence[Plain], *, side: str, others: Sequence[str]) -> str:
    """`side` over others in output tokens/s, load by load. The range is of the two intervals, the worst against the
    best: wider than an interval of the ratio would be."""
    lines = ["| load | " + " | ".join(f"{side} / {other}" for other in others) + " |", "|---" * (len(others) + 1) + "|"]
    for load in _LOADS:
        found = {point["side"]: point for point in points if point["load"] == load and point["verdict"] != "INVALID"}
        if side in found and any(other in found for other in others):
            cells = [_speed_ratio(found[side], found[other]) if other in found else "-" for other in others]
            lines.append(f"| {load} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _speed_ratio(a: Plain, b: Plain) -> str:
    left, right = a["output_tokens_per_s"], b["output_tokens_per_s"]
    if left is None or right is None:
        return "-"
    text = f"{left['value'] / right['value']:.2f}"
    if None in (left["low"], right["low"]) or min(left["low"], right["low"]) <= 0:
        return text
    return f"{text} ({left['low'] / right['high']:.2f} to {left['high'] / right['low']:.2f})"


def _machine_table(record: Plain) -> str:
    machine, gpus = record["machine"]["machine"], record["machine"]["gpus"]
    runs = {run["side"]: run for run in record["runs"]}
    versions = [f"{side}: {run['runtime']}" for side, run in runs.items()]
    torch = next((run["details"]["torch"] for run in runs.values() if (run["details"] or {}).get("torch")), "-")
    card = gpus[0]
    rows = [
        ("GPU", f"{len(gpus)} x {card['name']}, {card['power.limit']}, driver {card['driver_version']}"),
        ("host", f"{machine['cpu_threads']} threads, {machine['system']}, Python {machine['python']}"),
        ("sides", f"{'; '.join(versions)}; torch {torch}"),
        ("measured", min(run["created_at"] for run in runs.values())),
        *((f"ceilings, {one['kind']}", _ceiling_text(one)) for one in record["ceilings"]),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])


def _ceiling_text(one: Plain) -> str:
    arithmetic = f"{one['flops']['bfloat16'] / 1e12:.0f} TFLOP/s in bfloat16"
    return f"{one['bytes_per_s'] / 1e12:.2f} TB/s, {arithmetic} ({one['source']})"


def _latency_table(record: Plain) -> str:
    return table_text(ordered(record["points"]), without=_LATENCY)


def _roofline_table(record: Plain) -> str:
    return table_text([point for point in ordered(record["points"]) if point["limit_share"]], without=_ROOFLINE)


def _energy_table(record: Plain) -> str:
    return table_text([point for point in ordered(record["points"]) if point["watts"]], without=_ENERGY)


def _ratio_table(record: Plain) -> str:
    return speed_ratios(record["points"], side="ours", others=("vLLM", "transformers serve"))


def _tax_table(record: Plain) -> str:
    return ratios_text(record["ratios"])


def _parity_table(record: Plain) -> str:
    titles = (
        "case",
        "model",
        "answers equal",
        "ours missed",
        "by at most",
        "eager missed",
        "by at most",
        "taken over",
        "passes",
    )
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name, one in record["found"].items():
        misses = [
            f"{side['share']:.1%} of {side['places']} | {side['most']:.3f}" for side in (one["ours"], one["floor"])
        ]
        equal, taken = f"{one['equal_answers']} of {one['prompts']}", f"{one['prefix_hits']} tokens"
        passes = "yes" if one["passes"] else "no"
        lines.append(f"| {' | '.join([name, one['model'], equal, *misses, taken, passes])} |")
    return "\n".join(lines)


def _planted_table(record: Plain) -> str:
    lines = ["| claimed | load | verdict | why |", "|---|---|---|---|"]
    for claim, one in record["found"].items():
        lines += [f"| {claim} | {row['load']} | {row['verdict']} | {row['sentence']} |" for row in one["rows"]]
    return "\n".join(lines)


TABLES: dict[str, Callable[[Plain], str]] = {
    "machine": _machine_table,
    "latency": _latency_table,
    "ratio": _ratio_table,
    "roofline": _roofline_table,
    "energy": _energy_table,
    "tax": _tax_table,
    "parity": _parity_table,
    "planted": _planted_table,
}


if __name__ == "__main__":
    sys.exit(main())
