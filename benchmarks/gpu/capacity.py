"""How many requests a second an engine holds within an SLO: `tokenforge plan`, made to fit a slot of ten minutes.

    PYTHONPATH=benchmarks python -m gpu.capacity --side vllm=vllm@0.25.1 --slo llama3.1-8b --out runs/capacity

Rates are searched with Poisson arrivals: doubled or halved until one holds and one does not, then halved between, then
repeated near the root. `--slo llama3.1-8b` are the limits of MLPerf's benchmark of that name (p99 of TTFT and TPOT);
the load is of fixed lengths and not MLPerf's data set, so the result is no MLPerf result. `OUT/SIDE/` holds
plan.json, plan.md, record and report; `OUT/small.json` what is printed. A search that is cut off at `--limit-s` keeps
the probes until then, and its interval is as wide as they leave it.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu.calling import call
from gpu.capacities import capacities_text, capacity_record
from gpu.sides import Side, parse_side, with_args


def main() -> int:
    """Search for each side; 0 when each has a rate that was shown to hold."""
    asked = _arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    sides = with_args(asked.side, asked.args)
    for side in sides:
        _search(side, asked)
    found = [(side.name, asked.out / side.name) for side in sides if (asked.out / side.name / "plan.json").is_file()]
    if missing := {side.name for side in sides} - {name for name, _ in found}:
        print(f"no plan from: {', '.join(sorted(missing))}; see OUT/SIDE.log", file=sys.stderr)
    if not found:
        return 1
    small = capacity_record("capacity", found)
    (asked.out / "small.json").write_text(json.dumps(small, indent=1) + "\n", encoding="utf-8")
    print(capacities_text(small["capacities"]))
    return 0 if not missing and all(one["low"] is not None for one in small["capacities"]) else 1


def _search(side: Side, asked: argparse.Namespace) -> None:
    file = asked.out / f"{side.name}.yaml"
    file.write_text(json.dumps(_document(side, asked), indent=1) + "\n", encoding="utf-8")
    print(f"{side.name}: {side.runtime}", file=sys.stderr, flush=True)
    call(_words(side, asked, file), log=asked.out / f"{side.name}.log", limit_s=asked.limit_s)


def _words(side: Side, asked: argparse.Namespace, file: Path) -> Sequence[str]:
    return [
        *("plan", str(file), "--slo", asked.slo, "--out", str(asked.out / side.name)),
        *("--probe-s", f"{asked.probe_s:g}", "--max-trials", str(asked.max_trials)),
        *("--start-rate", f"{asked.start_rate:g}"),
    ]


def _document(side: Side, asked: argparse.Namespace) -> dict[str, Any]:
    """The benchmark file: one load, whose rate the search sets."""
    load = {"name": "load", "arrival": "poisson", "qps": asked.start_rate, "duration_s": asked.probe_s}
    shape = {"prompt_len": asked.prompt_len, "gen_tokens": asked.gen_tokens}
    document: dict[str, Any] = {
        "model": asked.model,
        "runtimes": [side.runtime],
        "seed": 7,
        "resources": {"gpu": asked.gpus},
        "max_model_len": asked.window,
        "workloads": [{**load, **shape, "request_timeout_s": 120, "drain_s": 60}],
    }
    if side.engine_args:
        document["engine_args"] = {side.runtime.partition("@")[0]: dict(side.engine_args)}
    return document


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gpu.capacity", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="synthetic:llama-3-8b")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=parse_side, action="append", required=True, help="NAME=RUNTIME[:ARG=VALUE,...]")
    parser.add_argument("--args", action="append", default=[], help='NAME={"ARG": VALUE}: more engine arguments')
    parser.add_argument("--slo", default="llama3.1-8b", help="a preset or limits, as for `tokenforge plan`")
    parser.add_argument("--start-rate", type=float, default=16.0, help="requests/s of the first probe")
    parser.add_argument("--probe-s", type=float, default=40.0, help="how long one probe may take")
    parser.add_argument("--max-trials", type=int, default=8, help="probes at most")
    parser.add_argument("--prompt-len", type=int, default=512)
    parser.add_argument("--gen-tokens", type=int, default=128)
    parser.add_argument("--window", type=int, default=2048, help="max_model_len")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs of one engine (tensor parallel)")
    parser.add_argument("--limit-s", type=float, default=540.0, help="for each side, its start too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
