"""Points of a small record as rows: throughput, latency, shares of the roofline, energy, memory."""

from collections.abc import Mapping, Sequence
from typing import Any

Point = Mapping[str, Any]

COLUMNS = (
    ("side", "side", "", 1.0),
    ("load", "load", "", 1.0),
    ("trials", "trials", "", 1.0),
    ("output tok/s", "output_tokens_per_s", ",.0f", 1.0),
    ("TTFT p50 ms", "ttft_p50_ms", ",.1f", 1.0),
    ("TPOT mean ms", "tpot_mean_ms", ",.2f", 1.0),
    ("of the limit", "limit_share", ".0%", 1.0),
    ("decode MBU", "decode_mbu", ".0%", 1.0),
    ("prefill MFU", "prefill_mfu", ".0%", 1.0),
    ("J/token", "joules_per_token", ".3f", 1.0),
    ("W", "watts", ",.0f", 1.0),
    ("counter / integral", "counter_over_integral", ".3f", 1.0),
    ("busy", "utilisation", ".0%", 1.0),
    ("GB", "memory_peak_bytes", ".1f", 1e-9),
    ("verdict", "verdict", "", 1.0),
    ("because", "codes", "", 1.0),
)
_WITH_INTERVAL = frozenset({"output_tokens_per_s", "ttft_p50_ms", "tpot_mean_ms", "joules_per_token"})


def table_text(points: Sequence[Point], *, without: Sequence[str] = ()) -> str:
    """A Markdown table; a dash where there is no number. `without` names columns (by key) to leave out."""
    columns = [column for column in COLUMNS if column[1] not in without]
    lines = [" | ".join(column[0] for column in columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(_cell(point, key, form, scale) for _, key, form, scale in columns) for point in points]
    return "\n".join(f"| {line} |" for line in lines)


def _cell(point: Point, key: str, form: str, scale: float) -> str:
    value = point.get(key)
    if isinstance(value, Mapping):
        return with_interval(value, form) if key in _WITH_INTERVAL else format(value["value"] * scale, form)
    if value is None or value == []:
        return "-"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return format(value * scale, form) if form else str(value)


def with_interval(value: Mapping[str, Any], form: str) -> str:
    """`5,038 (4,990 to 5,086)`; the number alone where there is no interval."""
    if value.get("low") is None or value.get("high") is None:
        return format(value["value"], form)
    return f"{format(value['value'], form)} ({format(value['low'], form)} to {format(value['high'], form)})"
