"""A small record: what a page needs of the records of one question, a few kilobytes that can be kept in the repository.

Figures are copied from the summaries, none is computed anew; what was not measured is None.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

Plain = Mapping[str, Any]


def small_record(question: str, records: Sequence[tuple[str, Plain]]) -> dict[str, Any]:
    """`records` with the name of their side; a side may have several. Without any, only the question is there."""
    first: Plain = records[0][1] if records else {}
    return {
        "question": question,
        **({"machine": _machine(first), "ceilings": _ceilings(first)} if first else {}),
        "runs": [{"side": name, **_run_facts(run, record)} for name, record in records for run in _targets(record)],
        "points": [point for name, record in records for point in points_of(name, record)],
    }


def points_of(side: str, record: Plain) -> list[dict[str, Any]]:
    """One point a workload that gave numbers."""
    pairs = zip(record["runs"], record["summary"]["runs"], strict=True)
    return [_point(side, run, summary) for run, summary in pairs if summary["ok"]]


def without_folders(text: str) -> str:
    """A command without the folders of the machine it ran on: the last part of each absolute path is left."""
    return re.sub(r"(?<![\w.:/])/(?:[\w.@+-]+/)+(?=[\w.@+-])", "", text)


def _targets(record: Plain) -> Sequence[Plain]:
    """The first run of each runtime."""
    return list({run["runtime"]: run for run in reversed(record["runs"])}.values())[::-1]


def _point(side: str, run: Plain, summary: Plain) -> dict[str, Any]:
    latencies = summary["latencies"]
    first = latencies["ttft" if summary["loop"] == "open" else "ttft_service"]
    nearest = _nearest(summary)
    energy = summary.get("energy") or {}
    return {
        "side": side,
        "runtime": run["runtime"],
        "load": summary["workload"],
        "trials": len(summary["trials"]),
        "started_at": run["trials"][0]["started_at"],
        "ok": summary["ok"],
        "errors": summary["errors"],
        "verdict": summary["verdict"],
        "codes": sorted({reason["code"] for reason in summary["reasons"] if reason["level"] != "note"}),
        "output_tokens_per_s": estimate(summary["output_tokens_per_s"]),
        "ttft_mean_ms": estimate(first["mean"]),
        "ttft_p50_ms": estimate(first["p50"]),
        "ttft_p99_ms": estimate(first["p99"]),
        "tpot_mean_ms": estimate(latencies["tpot"]["mean"]),
        "itl_p50_ms": estimate(latencies["itl"]["p50"]),
        "ceiling": nearest.get("kind"),
        "limit_share": estimate(nearest.get("share")),
        "decode_mbu": (nearest.get("decode") or {}).get("mbu"),
        "decode_mfu": (nearest.get("decode") or {}).get("mfu"),
        "prefill_mfu": (nearest.get("prefill") or {}).get("mfu"),
        "joules_per_token": estimate(energy.get("joules_per_token")),
        "watts": estimate(energy.get("watts")),
        "counter_over_integral": energy.get("counter_over_integral"),
        "utilisation": energy.get("utilisation"),
        "memory_peak_bytes": energy.get("memory_peak_bytes"),
    }


def estimate(value: Plain | None) -> dict[str, float | None] | None:
    """A value with its 95 % interval; None where there is none."""
    if not value or value.get("value") is None:
        return None
    return {"value": value["value"], "low": value.get("low"), "high": value.get("high")}


def _run_facts(run: Plain, record: Plain) -> dict[str, Any]:
    engine = run.get("engine") or {}
    return {
        "runtime": run["runtime"],
        "engine": engine.get("engine"),
        "engine_version": engine.get("engine_version"),
        "details": engine.get("details"),
        "kv_tokens": engine.get("kv_tokens"),
        "max_num_seqs": engine.get("max_num_seqs"),
        "start_s": run.get("start_s"),
        "command": without_folders(record["command"]),
        "tool": record["tool"],
        "created_at": record["created_at"],
        "spec_hash": record["spec_hash"],
    }


def _machine(record: Plain) -> dict[str, Any]:
    environment = record["environment"]
    return {"machine": environment.get("machine"), "gpus": environment.get("gpus")}


def _ceilings(record: Plain) -> Sequence[Plain]:
    return list(record["environment"].get("ceilings") or ())


def _nearest(summary: Plain) -> Plain:
    """The measured ceiling when there is one, else the vendor's."""
    against = (summary.get("limits") or {}).get("against") or [{}]
    best: Plain = next((one for one in against if one.get("kind") == "measured"), against[0])
    return best
