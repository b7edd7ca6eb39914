"""Doubts about the engines that had no work: one that was busy all the same took cores from the one measured."""

from collections.abc import Iterator, Sequence

from tokenforge.analysis.figures import Level, Reason, reason
from tokenforge.analysis.trials import Trial

_BUSY = 0.10
_BUSY_INVALID = 0.5


def doubt_idle(trials: Sequence[Trial]) -> Iterator[Reason]:
    """Was every other engine idle during this run's trials? In cores, the worst trial."""
    shares = [trial.facts.idle_cpu_share for trial in trials if trial.facts is not None]
    worst = max((share for share in shares if share is not None), default=0.0)
    if worst > _BUSY:
        yield reason(
            "idle_engine_busy",
            Level.INVALID if worst > _BUSY_INVALID else Level.SUSPECT,
            f"While this engine was measured, the others, which had no work, used {worst:.2f} of a core.",
            cpu_share=worst,
            limit=_BUSY,
        )
