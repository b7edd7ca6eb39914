"""Write `docs/results/gpu.md` from the small records beside it: every figure on the page is in one of them.

    PYTHONPATH=benchmarks python -m gpu.page

The words are in `page.md`, where `{{latency of sides}}` stands for the table `latency` of the record `sides.json`. They
say no figure that a record could contradict. A table of no record is refused. What stands between `{{#NAME}}` and
`{{/NAME}}` is there once the record `NAME.json` is, what stands between `{{^NAME}}` and `{{/NAME}}` until then.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gpu.capacities import capacities_text
from gpu.ratios import ratios_text
from gpu.small import Plain
from gpu.table import table_text

FOLDER = Path(__file__).parents[2] / "docs" / "results" / "gpu"
WORDS = Path(__file__).with_name("page.md")
_LOADS = ("c1", "c8", "c32", "c128", "c256", "r8", "r24")
_ENERGIES = ("counter_over_integral", "watts", "utilisation", "memory_peak_bytes", "joules_per_token")
_SHARES = ("limit_share", "decode_mbu", "prefill_mfu")
_LATENCY = (*_SHARES, *_ENERGIES)
_ENERGY = ("output_tokens_per_s", "ttft_p50_ms", "tpot_mean_ms", *_SHARES, "codes")
_ROOFLINE = ("ttft_p50_ms", *_ENERGIES, "codes")


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
    there = re.sub(
        r"{{([#^])([\w-]+)}}\n(.*?){{/\2}}\n",
        lambda found: found[3] if (found[1] == "#") == (found[2] in records) else "",
        words,
        flags=re.DOTALL,
    )
    return re.sub(r"{{([\w-]+) of ([\w-]+)}}", lambda found: TABLES[found[1]](records[found[2]]), there)


def ordered(points: Sequence[Plain]) -> list[Plain]:
    """By load, the sides of one load together."""
    return sorted(points, key=lambda point: _LOADS.index(point["load"]) if point["load"] in _LOADS else len(_LOADS))


def ratios_by_load(
    points: Sequence[Plain], *, side: str, others: Sequence[str], key: str = "output_tokens_per_s"
) -> str:
    """`side` over others, load by load. The range is of the two intervals, the worst against the best: wider than an
    interval of the ratio would be."""
    lines = ["| load | " + " | ".join(f"{side} / {other}" for other in others) + " |", "|---" * (len(others) + 1) + "|"]
    for load in _LOADS:
        found = {point["side"]: point for point in points if point["load"] == load and point["verdict"] != "INVALID"}
        if side in found and any(other in found for other in others):
            cells = [
                _ratio_of(found[side].get(key), found[other].get(key)) if other in found else "-" for other in others
            ]
            lines.append(f"| {load} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _ratio_of(left: Plain | None, right: Plain | None) -> str:
    if left is None or right is None:
        return "-"
    text = f"{left['value'] / right['value']:.2f}"
    if None in (left["low"], right["low"]) or min(left["low"], right["low"]) <= 0:
        return text
    return f"{text} ({left['low'] / right['high']:.2f} to {left['high'] / right['low']:.2f})"


def _machine_table(record: Plain) -> str:
    machine, gpus = record["machine"]["machine"], record["machine"]["gpus"]
    runs = {run["side"]: run for run in record["runs"]}
    versions = [f"{side}: {_engine_text(run)}" for side, run in runs.items()]
    torch = next((run["details"]["torch"] for run in runs.values() if (run["details"] or {}).get("torch")), "-")
    card = gpus[0]
    rows = [
        ("GPU", f"{len(gpus)} x {card['name']}, {card['power.limit']}, driver {card['driver_version']}"),
        ("host", f"{machine['cpu_model']}, {_host_text(machine)}"),
        ("sides", f"{'; '.join(versions)}; torch {torch}"),
        ("measured", min(run["created_at"] for run in runs.values())),
        *((f"ceilings, {one['kind']}", _ceiling_text(one)) for one in record["ceilings"]),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows)])


def _host_text(machine: Plain) -> str:
    memory = f"{machine['memory_bytes'] / 2**30:.0f} GiB"
    return f"{machine['cpu_threads']} threads, {memory}, {machine['system']}, Python {machine['python']}"


def _engine_text(run: Plain) -> str:
    """The engine and what it may do at once; a server that does not tell its version is said not to."""
    if run["runtime"].partition("@")[0] == "openai" and run["engine_version"] in {None, "unknown"}:
        return "a server that does not tell its version"
    details = run["details"] or {}
    batch = details.get("max_batch_tokens") or details.get("max_num_batched_tokens")
    bounds = [
        *([f"{run['max_num_seqs']:,} sequences"] if run["max_num_seqs"] else []),
        *([f"{int(batch):,} tokens a step"] if batch else []),
        *([f"a cache of {run['kv_tokens']:,} tokens"] if run["kv_tokens"] else []),
    ]
    return str(run["runtime"]) + (f" (at most {', '.join(bounds)})" if bounds else "")


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
    return ratios_by_load(record["points"], side="ours", others=("vLLM", "transformers serve"))


def _energy_ratio_table(record: Plain) -> str:
    others = ("vLLM", "transformers serve")
    return ratios_by_load(record["points"], side="ours", others=others, key="joules_per_token")


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


def _capacity_table(record: Plain) -> str:
    return capacities_text(record["capacities"])


def _layout_table(record: Plain) -> str:
    lines = ["| layout | runtime | replicas | GPUs each | requests of each |", "|---|---|---|---|---|"]
    for one in record["layouts"]:
        requests = ", ".join(f"{replica['requests']:,}" for replica in one["replicas"])
        lines.append(
            f"| {one['layout']} | {one['runtime']} | {len(one['replicas'])} | {one['gpus_each']} | {requests} |"
        )
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
    "energy-ratio": _energy_ratio_table,
    "roofline": _roofline_table,
    "energy": _energy_table,
    "tax": _tax_table,
    "parity": _parity_table,
    "planted": _planted_table,
    "capacity": _capacity_table,
    "layout": _layout_table,
}


if __name__ == "__main__":
    sys.exit(main())
