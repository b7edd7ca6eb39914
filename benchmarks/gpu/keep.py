"""Keep what a question's runs found, as a small record for `docs/results/gpu/`.

    PYTHONPATH=benchmarks python -m gpu.keep --question sides --out docs/results/gpu/sides.json \\
        'ours=runs/gpu/paged' 'vLLM=runs/gpu/vllm'
    PYTHONPATH=benchmarks python -m gpu.keep --question parity --out docs/results/gpu/parity.json 'small=parity.json'

A folder is that of a run, with its record; the ratios of its two sides are added for the question `tax`, what
`tokenforge plan` found for `capacity`, which GPUs the replicas had for `replicas`. A file is kept as it is.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from gpu.capacities import capacity_record
from gpu.ratios import ratio_rows
from gpu.small import small_record


def main() -> int:
    """Write the file; says how large it is."""
    asked = _arguments()
    document = kept(asked.question, [_pair(text) for text in asked.runs])
    asked.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{asked.out}: {asked.out.stat().st_size:,} bytes")
    return 0


def kept(question: str, runs: list[tuple[str, Path]]) -> dict[str, Any]:
    """The small record of folders or files, each with its name."""
    if all(path.is_file() for _, path in runs):
        found = {name: json.loads(path.read_text(encoding="utf-8")) for name, path in runs}
        return {"question": question, "found": found}
    if question == "capacity":
        return capacity_record(question, runs)
    records = [(name, json.loads((path / "record.json").read_text(encoding="utf-8"))) for name, path in runs]
    small = small_record(question, records)
    if question == "replicas":
        return small | {"layouts": [json.loads((path / "layout.json").read_text(encoding="utf-8")) for _, path in runs]}
    return small | {"ratios": ratio_rows(records[0][1])} if question == "tax" else small


def _pair(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    return name, Path(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gpu.keep", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--question", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("runs", nargs="+", help="NAME=FOLDER, or NAME=FILE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
