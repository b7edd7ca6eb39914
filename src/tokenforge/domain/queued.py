"""A benchmark that was asked for over the API: queued, then run by control one after another."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenforge.domain.run import RunStatus

OPEN = frozenset({RunStatus.QUEUED, RunStatus.PREPARING, RunStatus.RUNNING})
"""Of a run that goes on, or will."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRun:
    """One Workload on one Runtime of a queued benchmark."""

    id: str
    model: str
    runtime: str
    workload: str
    status: RunStatus = RunStatus.QUEUED
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedBenchmark:
    """What was asked (`body`, as sent), its runs, and `facts` that came up: `folder` of its files, `headline`."""

    id: str
    body: Mapping[str, object]
    runs: tuple[QueuedRun, ...]
    created_at: str
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def open_runs(self) -> tuple[QueuedRun, ...]:
        """Those that have not ended."""
        return tuple(run for run in self.runs if run.status in OPEN)

    @property
    def status(self) -> RunStatus:
        """The benchmark's own status: what its runs agree on, or the one that matters most."""
        return benchmark_status([run.status for run in self.runs])


_BY_WEIGHT = (
    RunStatus.RUNNING,
    RunStatus.PREPARING,
    RunStatus.QUEUED,
    RunStatus.FAILED,
    RunStatus.CANCELLED,
    RunStatus.INTERRUPTED,
    RunStatus.SUCCEEDED,
)


def benchmark_status(runs: list[RunStatus]) -> RunStatus:
    """Of several statuses the one that says most about the whole. Raises ValueError without any."""
    if not runs:
        raise ValueError("a benchmark has at least one run")
    return min(runs, key=_BY_WEIGHT.index)
