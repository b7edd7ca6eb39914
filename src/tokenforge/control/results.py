"""What came of the process that measured a benchmark: its record, and the end of each of its runs."""

import json
from collections.abc import Mapping
from pathlib import Path

from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.domain.run import RunStatus
from tokenforge.store.artifacts import RECORD_FILE
from tokenforge.store.base import Ending
from tokenforge.store.kept import headline_of


def read_result(folder: Path) -> dict[str, object] | None:
    """The record in a folder of results; None without a whole one."""
    try:
        document = json.loads((folder / RECORD_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and isinstance(document.get("runs"), list) else None


def ending_of(queued: QueuedBenchmark, document: Mapping[str, object]) -> Ending:
    """The end of every run of `queued`, as the record tells it."""
    summary = document.get("summary")
    headline = headline_of(summary) if isinstance(summary, Mapping) else ""
    ends = {run.id: _status_in(document, run) for run in queued.runs}
    return Ending(queued_id=queued.id, runs=ends, facts={"headline": headline})


def _status_in(document: Mapping[str, object], run: QueuedRun) -> tuple[RunStatus, str]:
    """What the record says of one run; a run that is not in it has failed."""
    recorded = document.get("runs")
    for row in recorded if isinstance(recorded, list) else []:
        runtimes = (row["runtime"], row["runtime"].partition("@")[0])
        if (row["model"], row["workload"]) == (run.model, run.workload) and run.runtime in runtimes:
            return RunStatus(row["status"]), str(row["cause"] or "")
    return RunStatus.FAILED, "it is not in the record: the benchmark ended before it"
