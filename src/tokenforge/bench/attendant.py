"""Who looks after the engines between trials: brings up the one that is next, says which others are up and idle."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tokenforge.bench.order import Step
from tokenforge.bench.targets import Target

if TYPE_CHECKING:
    from tokenforge.bench.run_log import RunLog


class Attendant(Protocol):
    """Called before every trial."""

    async def before(self, row: "Sequence[RunLog]", step: Step, *, position: int) -> Sequence[Target]:
        """Make `row[step.runtime]` ready, with a new `target` if it was started anew. Returns who is up and idle.

        `row` holds a log per runtime, of the step's workload. Raises the error of a start that failed.
        """
        ...


class SideBySide:
    """All engines are up from first to last; nothing is restarted."""

    async def before(self, row: "Sequence[RunLog]", step: Step, *, position: int) -> Sequence[Target]:
        """Every other engine of the row."""
        return [log.target for number, log in enumerate(row) if number != step.runtime]
