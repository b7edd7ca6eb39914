"""A pod's share of a trial as the file that its driver reads, and how long a trial may take."""

import io
from pathlib import Path

from tokenforge.bench.cluster.pod import JOURNAL
from tokenforge.bench.driver.job import DriveJob

_DAY_S = 86_400.0


def share_bytes(job: DriveJob, number: int) -> bytes:
    """The job of the pod of that number."""
    file = io.BytesIO()
    writeshare_bytes(job, number, journal=Path(JOURNAL), file=file)
    return file.getvalue()


def most_s(job: DriveJob) -> float:
    """How long a trial may take at most, from its start; a day where the server alone decides."""
    last_ns = max((request.at_ns for request in job.plan.requests if request.at_ns is not None), default=None)
    known_s = job.plan.duration_s if last_ns is None else last_ns / 1e9
    if known_s is None or any(request.after is not None for request in job.plan.requests):
        return _DAY_S
    return known_s + job.request_timeout_s + job.drain_s + 120.0
