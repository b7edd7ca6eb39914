"""Run: one Workload against one target, in trials. Its life, and the steps it may take."""

import enum
from typing import NewType

RunId = NewType("RunId", str)


class RunStatus(enum.StrEnum):
    """Where a run stands. The last four are final, except that `interrupted` may be resumed."""

    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


_STEPS: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.QUEUED: frozenset({RunStatus.PREPARING, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED}),
    RunStatus.PREPARING: frozenset({RunStatus.RUNNING, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED}),
    RunStatus.RUNNING: frozenset({RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED}),
    RunStatus.INTERRUPTED: frozenset({RunStatus.QUEUED}),
}


def can_step(now: RunStatus, then: RunStatus) -> bool:
    """Whether a run may go from `now` to `then`."""
    return then in _STEPS.get(now, frozenset())
