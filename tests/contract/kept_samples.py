"""A benchmark that was measured, and a folder as `bench` leaves one."""

import json
from pathlib import Path

from tokenforge.domain.kept import KeptBenchmark, KeptRun, KeptTrial
from tokenforge.domain.run import RunStatus

TRIALS = tuple(
    KeptTrial(
        trial=number, position=number, plan_digest="d", planned_requests=5, started_at="2026-01-01T00:00:00Z",
        duration_s=1.5,
    )
    for number in range(2)
)  # fmt: skip
KEPT = KeptBenchmark(
    id="b", created_at="2026-01-01T00:00:00Z", spec_hash="s", headline="one\ntwo", verdict="valid",
    runs=(
        KeptRun(id="b-00-w", model="m", runtime="sim", workload="w", status=RunStatus.SUCCEEDED, trials=TRIALS),
        KeptRun(id="b-01-w", model="m", runtime="vllm", workload="w", status=RunStatus.INTERRUPTED, cause="why"),
    ),
    environment={"cpu": "x", "cores": 2},
)  # fmt: skip


def a_record(folder: Path, *, identity: str = "b") -> dict[str, object]:
    """Write `record.json`, a report and requests; what the record says."""
    trial = {
        "trial": 0, "position": 0, "plan_digest": "d", "planned_requests": 1, "started_at": "2026-01-01T00:00:00Z",
        "duration_s": 0.5,
    }  # fmt: skip
    document: dict[str, object] = {
        "id": identity, "created_at": "2026-01-01T00:00:00Z", "spec_hash": "s", "environment": {"cpu": "x"},
        "runs": [
            {"id": f"{identity}-00-w", "model": "synthetic:tiny", "runtime": "sim@9", "workload": "w",
             "status": "succeeded", "cause": None, "trials": [trial]},
        ],
        "summary": {"headline": ["first line", "second"], "verdict": "valid"},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_text(json.dumps(document))
    (folder / "report.html").write_text(f"<p>report of {identity}</p>")
    (folder / "requests.parquet").write_bytes(b"PAR1" + identity.encode())
    return document
