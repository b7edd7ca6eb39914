"""Does the alarm ring? A real run, said to be of a larger model than the one that ran, must be INVALID.

    PYTHONPATH=benchmarks python -m gpu.planted runs/gpu/paged --claim llama-3-70b --out runs/gpu-planted

The run's files are copied, the sizes of the model in its record are replaced by those of the claimed one, and verdict
and pages are made again from the copy, as `tokenforge report` does. No request is changed: the speed is as measured.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from tokenforge.analysis.figures import RunSummary, Validity
from tokenforge.analysis.requests import Requests
from tokenforge.analysis.summary import summarise
from tokenforge.bench.outcome import report_again
from tokenforge.domain.canonical import to_plain
from tokenforge.models.architecture import read_architecture
from tokenforge.models.shapes import find_shape
from tokenforge.store.artifacts import RECORD_FILE, REQUESTS_FILE
from tokenforge.store.requests_table import RequestsFile

_CODE = "physically_impossible"


def main() -> int:
    """0 when every load of the run is INVALID for being impossible."""
    asked = _arguments()
    rows = planted(asked.run, claim=asked.claim, out=asked.out)
    small = {"question": "planted fault", "claim": asked.claim, "rows": rows}
    (asked.out / "small.json").write_text(json.dumps(small, indent=1) + "\n", encoding="utf-8")
    for row in rows:
        print(f"{row['load']}: {row['verdict']}: {row['sentence']}")
    return 0 if rows and all(row["rings"] for row in rows) else 1


def planted(run: Path, *, claim: str, out: Path) -> list[dict[str, object]]:
    """What the verdict says of each load of the copy in `out`, whose pages say it too."""
    out.mkdir(parents=True, exist_ok=True)
    document = _claiming(json.loads((run / RECORD_FILE).read_text(encoding="utf-8")), claim)
    (out / RECORD_FILE).write_text(json.dumps(document), encoding="utf-8")
    shutil.copyfile(run / REQUESTS_FILE, out / REQUESTS_FILE)
    report_again(out)
    return verdicts(document, RequestsFile(out / REQUESTS_FILE), claim=claim)


def verdicts(document: dict[str, Any], requests: Requests, *, claim: str) -> list[dict[str, object]]:
    """A row a load of the record, as if its model were `claim`."""
    return [_row(run) for run in summarise({**_claiming(document, claim), "summary": {}}, requests).runs]


def _claiming(document: dict[str, Any], claim: str) -> dict[str, Any]:
    architecture = to_plain(read_architecture(find_shape(claim).config))
    environment = document["environment"]
    models = [{**model, "architecture": architecture} for model in environment["models"]]
    return {**document, "environment": {**environment, "models": models}}


def _row(run: RunSummary) -> dict[str, object]:
    found = next((reason for reason in run.reasons if reason.code == _CODE), None)
    return {
        "load": run.workload,
        "verdict": str(run.verdict),
        "rings": found is not None and run.verdict is Validity.INVALID,
        "sentence": "not called impossible" if found is None else found.sentence,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gpu.planted", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the folder of a run: record.json and requests.parquet")
    parser.add_argument("--claim", default="llama-3-70b", help="the shape that it is said to be")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
