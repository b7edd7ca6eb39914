"""Ratios worker / server of a record with two sides in mirrored order, metric by metric, over quads."""

from collections.abc import Mapping, Sequence
from typing import Any

from tokenforge.analysis.compare import compare_ratios
from tokenforge.analysis.quads import quads_of

Plain = Mapping[str, Any]

RATIOS = {"output_tokens_per_s": 0.98, "ttft_p50": 1.02, "itl_p50": 1.02}
"""What a worker without a tax keeps: at least this share of the throughput, at most this much of each latency."""

_METRICS = (*RATIOS, "tpot_p50", "ttft_mean", "tpot_mean")


def ratio_rows(record: Plain) -> list[dict[str, Any]]:
    """One row a workload and metric: both means, the ratio B / A with its interval, whether its limit holds.

    `holds` is decided by the ratio itself; `surely` says that the whole interval keeps the limit.
    """
    summaries = record["summary"]["runs"]
    pairs: dict[str, list[tuple[Plain, Plain]]] = {}
    for run, summary in zip(record["runs"], summaries, strict=True):
        pairs.setdefault(run["workload"], []).append((run, summary))
    return [
        row
        for workload, sides in pairs.items()
        if len(sides) == 2
        for metric in _METRICS
        if (row := _row(workload, metric, *sides)) is not None
    ]


def ratios_text(rows: Sequence[Plain]) -> str:
    """A Markdown table."""
    lines = [
        "| load | metric | server | worker | worker / server | quads | limit | holds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        between = "" if row["low"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"
        limit = "-" if row["limit"] is None else f"{'>=' if row['limit'] < 1 else '<='} {row['limit']}"
        holds = {None: "-", True: "yes", False: "no"}[row["holds"]]
        lines.append(
            f"| {row['load']} | {row['metric']} | {row['a']:,.4g} | {row['b']:,.4g} | {row['ratio']:.3f}{between} "
            f"| {row['quads']} | {limit} | {holds}{', surely' if row['surely'] else ''} |"
        )
    return "\n".join(lines)


def _row(workload: str, metric: str, a: tuple[Plain, Plain], b: tuple[Plain, Plain]) -> dict[str, Any] | None:
    left, right = (_values(summary, metric) for _, summary in (a, b))
    positions = {
        (name, trial["trial"]): trial["position"] for name, (run, _) in (("A", a), ("B", b)) for trial in run["trials"]
    }
    quads = quads_of(left, right, positions=positions)
    if not quads:
        return None
    found = compare_ratios(
        [quad.ratio for quad in quads], higher_is_better=metric == "output_tokens_per_s", unit="quads"
    )
    limit = RATIOS.get(metric)
    keeps = None if limit is None or found.ratio is None else _keeps(found.ratio, limit)
    worst = found.low if limit is not None and limit < 1 else found.high
    return {
        "load": workload,
        "metric": metric,
        "a": sum(left.values()) / len(left),
        "b": sum(right.values()) / len(right),
        "ratio": found.ratio,
        "low": found.low,
        "high": found.high,
        "quads": len(quads),
        "limit": limit,
        "holds": keeps,
        "surely": limit is not None and worst is not None and _keeps(worst, limit),
    }


def _keeps(ratio: float, limit: float) -> bool:
    return ratio >= limit if limit < 1 else ratio <= limit


def _values(summary: Plain, metric: str) -> dict[int, float]:
    """A value a trial; a closed loop's latencies count from the send."""
    if metric == "output_tokens_per_s":
        found = {rate["trial"]: rate[metric] for rate in summary["trials"]}
    else:
        name, _, statistic = metric.rpartition("_")
        name = f"{name}_service" if name == "ttft" and summary["loop"] == "closed" else name
        found = {one["trial"]: one[statistic] for one in summary["latencies"][name]["per_trial"]}
    return {trial: value for trial, value in found.items() if value is not None}
