"""A record's points as rows: throughput, latency, shares of the roofline, energy."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gpu.power import Meter

_COLUMNS = (
    ("side", "side", ""),
    ("clients", "concurrency", ""),
    ("ok", "ok", ""),
    ("tok/s", "output_tokens_per_s", ",.0f"),
    ("TTFT mean ms", "ttft_ms", ",.0f"),
    ("TPOT mean ms", "tpot_ms", ",.1f"),
    ("of ceiling", "limit_share", ".0%"),
    ("decode MBU", "decode_mbu", ".0%"),
    ("prefill MFU", "prefill_mfu", ".0%"),
    ("J/token", "joules_per_token", ".2f"),
    ("W", "watts", ",.0f"),
    ("counter/integral", "energy_agreement", ".3f"),
    ("GB", "memory_gb", ".1f"),
)


def points_of(side: str, record: Mapping[str, Any], *, meter: Meter) -> list[dict[str, object]]:
    """One point a workload. Energy is that of whole trials, filling and draining too, for each output token."""
    return [
        _point(side, run, summary, meter)
        for run, summary in zip(record["runs"], record["summary"]["runs"], strict=True)
        if summary["ok"]
    ]


def table_text(points: Sequence[Mapping[str, object]]) -> str:
    """A Markdown table; a dash where there is no number."""
    lines = [" | ".join(name for name, _, _ in _COLUMNS), " | ".join("---" for _ in _COLUMNS)]
    for point in points:
        lines.append(" | ".join(_cell(point.get(key), form) for _, key, form in _COLUMNS))
    return "\n".join(f"| {line} |" for line in lines)


def _point(side: str, run: Mapping[str, Any], summary: Mapping[str, Any], meter: Meter) -> dict[str, object]:
    latencies = summary["latencies"]
    nearest = _ceiling(summary)
    point: dict[str, object] = {
        "side": side,
        "run_id": summary["run_id"],
        "runtime": summary["runtime"],
        "concurrency": int(str(summary["workload"]).removeprefix("c")),
        "ok": summary["ok"],
        "errors": summary["errors"],
        "verdict": summary["verdict"],
        "output_tokens_per_s": summary["output_tokens_per_s"]["value"],
        "ttft_ms": latencies["ttft_service"]["mean"]["value"],
        "tpot_ms": latencies["tpot"]["mean"]["value"],
        "ceiling": nearest.get("kind"),
        "limit_share": (nearest.get("share") or {}).get("value"),
        "decode_mbu": (nearest.get("decode") or {}).get("mbu"),
        "prefill_mfu": (nearest.get("prefill") or {}).get("mfu"),
    }
    return point | _energy(run, summary, meter)


def _energy(run: Mapping[str, Any], summary: Mapping[str, Any], meter: Meter) -> dict[str, object]:
    counter = integral = seconds = memory = 0.0
    for trial in run["trials"]:
        began = datetime.fromisoformat(trial["started_at"].replace("Z", "+00:00")).timestamp()
        found = meter.between(began, began + trial["duration_s"])
        if found is None:
            return {}
        counter += found["counter_j"]
        integral += found["integral_j"]
        seconds += trial["duration_s"]
        memory = max(memory, found["memory_bytes"])
    tokens = summary["ok"] * summary["output_tokens_mean"]
    return {
        "joules_per_token": counter / tokens,
        "watts": counter / seconds,
        "energy_agreement": counter / integral if integral else None,
        "memory_gb": memory / 1e9,
    }


def _ceiling(summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """The measured ceiling when there is one, else the vendor's."""
    against = (summary.get("limits") or {}).get("against") or [{}]
    best: Mapping[str, Any] = next((one for one in against if one.get("kind") == "measured"), against[0])
    return best


def _cell(value: object, form: str) -> str:
    if value is None:
        return "-"
    return format(value, form) if form else str(value)
