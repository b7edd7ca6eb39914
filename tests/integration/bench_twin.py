"""Stands in for the process that offers a benchmark's load: says a line, then does what the benchmark's seed tells.

Seed 0 writes a record in which every run succeeded, 1 one in which the first failed, 2 ends without a record,
3 waits until it is interrupted, 4 is killed unless an attempt before it was.
"""

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from tokenforge.worker.process import hold_lifeline


def main() -> int:
    """Do it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--targets", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--withdrawn", type=Path)
    parser.add_argument("--lifeline-fd", type=int)
    parser.add_argument("--taken-up-because", default="")
    asked = parser.parse_args()
    body = json.loads(asked.file.read_text())
    sys.stderr.write(f"targets {asked.targets.read_text()}\n")
    sys.stderr.flush()
    if body["seed"] == 3:
        hold_lifeline(asked.lifeline_fd, lambda: os.kill(os.getpid(), signal.SIGINT))
        time.sleep(60)
    if body["seed"] == 4 and not asked.taken_up_because:
        os.kill(os.getpid(), signal.SIGKILL)
    if body["seed"] == 2:
        return 1
    rows = [
        {"model": body["model"], "runtime": f"{runtime}@9", "workload": workload["name"], "status": "succeeded",
         "cause": None}
        for workload in body["workloads"] for runtime in body["runtimes"]
    ]  # fmt: skip
    if body["seed"] == 1:
        rows[0] |= {"status": "failed", "cause": "its engine died"}
    asked.out.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        row["id"] = f"{asked.out.parent.name}-{number}"
    record = {
        "id": f"of-{asked.out.parent.name}", "created_at": "2026-01-01T00:00:00Z", "runs": rows,
        "summary": {"headline": ["first line", "second"]}, "environment": {"again": asked.taken_up_because},
    }  # fmt: skip
    (asked.out / "record.json").write_text(json.dumps(record))
    (asked.out / "report.html").write_text("<p>report</p>")
    return 0


if __name__ == "__main__":
    sys.exit(main())
