"""Measure runtimes one after another on this machine's GPU and print one table.

    PYTHONPATH=benchmarks python -m gpu --model synthetic:llama-3-8b --out runs/gpu \\
        --side paged=transformers@5.17.0 --side own=transformers@5.17.0:batching=transformers --side vllm=vllm@0.25.1

Each side is one `tokenforge bench` over the same closed loops: `OUT/SIDE/` holds its record and report. The machine's
ceilings are measured first (`doctor --measure`), so every point has its share of them. `OUT/table.md` and
`OUT/table.json` hold what is printed. A side that fails is told and left out; the others go on.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from gpu.power import Meter
from gpu.sides import Side, parse_side
from gpu.table import points_of, table_text

_CALL = (sys.executable, "-c", "from tokenforge.cli.main import run; run()")
_SIDE_LIMIT_S = 600


def main() -> int:
    """Run every side; 0 when all of them gave numbers."""
    asked = _arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    if not asked.skip_ceilings:
        subprocess.run([*_CALL, "doctor", "--measure"], stdout=subprocess.DEVNULL, check=False, timeout=120)
    points: list[dict[str, object]] = []
    failed = []
    with Meter() as meter:
        for side in asked.side:
            record = _run_side(side, asked)
            if record is None:
                failed.append(side.name)
            else:
                points += points_of(side.name, json.loads(record.read_text(encoding="utf-8")), meter=meter)
            _write(asked.out, points)
    print(table_text(points))
    if failed:
        print(f"no numbers from: {', '.join(failed)}; see OUT/SIDE.log", file=sys.stderr)
    return 1 if failed else 0


def _run_side(side: Side, asked: argparse.Namespace) -> Path | None:
    """Its record, or None when the command failed."""
    file = asked.out / f"{side.name}.yaml"
    text = side.benchmark(
        model=asked.model, concurrency=side.concurrency or asked.concurrency, trials=asked.trials,
        prompt_len=asked.prompt_len, gen_tokens=asked.gen_tokens, seconds=asked.seconds, window=asked.window,
    )  # fmt: skip
    file.write_text(text, encoding="utf-8")
    print(f"{side.name}: {side.runtime}", file=sys.stderr, flush=True)
    with (asked.out / f"{side.name}.log").open("wb") as log:
        command = [*_CALL, "bench", str(file), "--out", str(asked.out / side.name)]
        try:
            subprocess.run(command, stdout=log, stderr=log, check=False, timeout=_SIDE_LIMIT_S)
        except subprocess.TimeoutExpired:
            print(f"{side.name} took longer than {_SIDE_LIMIT_S} s", file=sys.stderr)
    record = asked.out / side.name / "record.json"
    return record if record.is_file() else None


def _write(out: Path, points: list[dict[str, object]]) -> None:
    (out / "table.json").write_text(json.dumps(points, indent=1) + "\n", encoding="utf-8")
    (out / "table.md").write_text(table_text(points) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="synthetic:llama-3-8b")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=parse_side, action="append", required=True, help="NAME=RUNTIME[:ARG=VALUE,...]")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32, 128, 256])
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--prompt-len", type=int, default=512)
    parser.add_argument("--gen-tokens", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=10.0, help="about how long a trial of one point is to last")
    parser.add_argument("--window", type=int, default=2048, help="max_model_len")
    parser.add_argument("--skip-ceilings", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
