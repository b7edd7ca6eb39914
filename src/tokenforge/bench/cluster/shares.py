"""A pod's share of a trial: the file that its driver reads, how long it may take, what its journal says of its end."""

import io
from collections.abc import Sequence
from pathlib import Path

from tokenforge.bench.cluster.pod import JOURNAL
from tokenforge.bench.driver.job import DriveJob
from tokenforge.bench.driver.offer import write_share
from tokenforge.bench.driver.reading import Watcher

_DAY_S = 86_400.0


def share_bytes(job: DriveJob, number: int) -> bytes:
    """The job of the pod of that number."""
    file = io.BytesIO()
    write_share(job, number, journal=Path(JOURNAL), file=file)
    return file.getvalue()


def most_s(job: DriveJob) -> float:
    """How long a trial may take at most, from its start; a day where the server alone decides."""
    last_ns = max((request.at_ns for request in job.plan.requests if request.at_ns is not None), default=None)
    known_s = job.plan.duration_s if last_ns is None else last_ns / 1e9
    if known_s is None or any(request.after is not None for request in job.plan.requests):
        return _DAY_S
    return known_s + job.request_timeout_s + job.drain_s + 120.0


def cut_of(journals: Sequence[Path], pods: Sequence[str]) -> str:
    """Which pod's journal says that its plan was not done."""
    for pod, journal in zip(pods, journals, strict=True):
        alone = Watcher([journal])
        alone.look(elapsed_s=0.0)
        if not alone.beats or alone.beats[0].stopped_early or not alone.beats[0].final:
            why = alone.beats[0].stopped_early if alone.beats else ""
            return f"driver pod {pod} was ended before its plan was done: {why or 'its journal is cut'}"
    return "a driver pod was ended before its plan was done"
