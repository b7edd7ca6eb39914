"""Measure runtimes one after another on this machine's GPU and print one table.

    PYTHONPATH=benchmarks python -m gpu --model synthetic:llama-3-8b --out runs/gpu --trials 5 --rates 8 24 \\
        --side paged=transformers@5.17.0 --side own=transformers@5.17.0:batching=transformers --side vllm=vllm@0.25.1

Each side is one `tokenforge bench` over the same loads: `OUT/SIDE/` holds its record and report. The machine's ceilings
are measured first (`doctor --measure`), so every point has its share of them. `OUT/small.json` holds what is printed,
small enough to be kept. A side that fails is told and left out; the others go on.
"""

import argparse
import json
import sys
from pathlib import Path

from gpu.calling import call, measure_ceilings
from gpu.sides import Load, Side, parse_side, with_args
from gpu.small import small_record
from gpu.table import table_text

_SIDE_LIMIT_S = 900.0


def main() -> int:
    """Run every side; 0 when all of them gave numbers."""
    asked = _arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    if not asked.skip_ceilings:
        measure_ceilings()
    records = []
    sides = with_args(asked.side, asked.args)
    for side in sides:
        record = _run_side(side, asked)
        if record is not None:
            records.append((side.name, json.loads(record.read_text(encoding="utf-8"))))
        small = small_record("side by side", records)
        (asked.out / "small.json").write_text(json.dumps(small, indent=1) + "\n", encoding="utf-8")
    print(table_text(small_record("side by side", records)["points"]))
    if failed := [side.name for side in sides if side.name not in dict(records)]:
        print(f"no numbers from: {', '.join(failed)}; see OUT/SIDE.log", file=sys.stderr)
    return 1 if failed else 0


def _run_side(side: Side, asked: argparse.Namespace) -> Path | None:
    """Its record, or None when the command failed."""
    file = asked.out / f"{side.name}.yaml"
    load = Load(
        concurrency=asked.concurrency, rates=asked.rates, prompt_len=asked.prompt_len, gen_tokens=asked.gen_tokens,
        seconds=asked.seconds,
    )  # fmt: skip
    text = side.benchmark(load, model=asked.model, trials=asked.trials, window=asked.window, gpus=asked.gpus)
    file.write_text(text, encoding="utf-8")
    print(f"{side.name}: {side.runtime}", file=sys.stderr, flush=True)
    words = ["bench", str(file), "--out", str(asked.out / side.name), "--no-calibration"]
    call(words, log=asked.out / f"{side.name}.log", limit_s=_SIDE_LIMIT_S)
    record = asked.out / side.name / "record.json"
    return record if record.is_file() else None


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="synthetic:llama-3-8b")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=parse_side, action="append", required=True, help="NAME=RUNTIME[:ARG=VALUE,...]")
    parser.add_argument("--args", action="append", default=[], help='NAME={"ARG": VALUE}: more engine arguments')
    parser.add_argument("--concurrency", type=int, nargs="*", default=[1, 8, 32, 128, 256])
    parser.add_argument("--rates", type=float, nargs="*", default=[], help="Poisson arrivals a second")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--prompt-len", type=int, default=512)
    parser.add_argument("--gen-tokens", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=10.0, help="about how long a trial of one point is to last")
    parser.add_argument("--window", type=int, default=2048, help="max_model_len")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs of one engine (tensor parallel)")
    parser.add_argument("--skip-ceilings", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
