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


_ENDS_EARLY = frozenset({RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED})
_STEPS: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.QUEUED: _ENDS_EARLY | {RunStatus.PREPARING},
    RunStatus.PREPARING: _ENDS_EARLY | {RunStatus.RUNNING, RunStatus.QUEUED},
    RunStatus.RUNNING: _ENDS_EARLY | {RunStatus.SUCCEEDED, RunStatus.QUEUED},
    RunStatus.INTERRUPTED: frozenset({RunStatus.QUEUED}),
}
"""What was begun is queued again when whoever did it was killed."""


def can_step(now: RunStatus, then: RunStatus) -> bool:
    """Whether a run may go from `now` to `then`."""
    return then in _STEPS.get(now, frozenset())
