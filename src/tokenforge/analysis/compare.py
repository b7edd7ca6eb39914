"""Two runtimes on the same plan, paired trial by trial: how many times better, how sure, and what would settle it.

Pairs have the same prompts and arrivals and run next to each other, so what disturbs the machine hits both, and the
ratio of a pair is steadier than either number. Ratios are averaged as logarithms. A difference that is certain and
yet too small to matter is called equivalent, not better.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.intervals import CONFIDENCE, MIN_TRIALS, t_critical

DELTA = 0.05
_EQUIVALENCE_CONFIDENCE = 0.90
_POWER_CONFIDENCE = 0.60
_MOST_TRIALS = 1000


class Verdict(enum.StrEnum):
    """What a comparison says of the candidate. `offered`: the load set the number, so it compares nothing."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"
    OFFERED = "offered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The ratio candidate / baseline over paired trials, with its 95 % interval where there is one.

    `trials_needed` is how many pairs would tell a difference of 5 % (or the one seen, if larger) with 80 % power.
    """

    ratio: float | None
    low: float | None
    high: float | None
    trials: int
    verdict: Verdict
    trials_needed: int | None
    note: str | None = None


def compare_paired(
    baseline: Mapping[int, float], candidate: Mapping[int, float], *, higher_is_better: bool, delta: float = DELTA
) -> Paired:
    """Compare by trial number; trials that only one side has, or that are not above zero, are left out."""
    shared = sorted(t for t in baseline.keys() & candidate.keys() if baseline[t] > 0 and candidate[t] > 0)
    if not shared:
        return _without_interval(None, trials=0, note="no trial that both have")
    logs = np.array([math.log(candidate[t] / baseline[t]) for t in shared])
    mean, count = float(logs.mean()), len(logs)
    if count < MIN_TRIALS:
        note = f"an interval needs {MIN_TRIALS} paired trials, {count} ran"
        return _without_interval(math.exp(mean), trials=count, note=note)
    spread = float(logs.std(ddof=1))
    half = t_critical(confidence=CONFIDENCE, freedom=count - 1) * spread / math.sqrt(count)
    narrow = t_critical(confidence=_EQUIVALENCE_CONFIDENCE, freedom=count - 1) * spread / math.sqrt(count)
    verdict = _verdict(mean, half=half, narrow=narrow, margin=math.log1p(delta), higher_is_better=higher_is_better)
    undecided = verdict is Verdict.INCONCLUSIVE
    return Paired(
        ratio=math.exp(mean),
        low=math.exp(mean - half),
        high=math.exp(mean + half),
        trials=count,
        verdict=verdict,
        trials_needed=trials_needed(spread=spread, effect=max(abs(mean), math.log1p(delta))) if undecided else None,
    )


def trials_needed(*, spread: float, effect: float) -> int:
    """Pairs that show `effect` (a log ratio) at 5 %, two-sided, with 80 % power, given the spread of log ratios."""
    for count in range(MIN_TRIALS, _MOST_TRIALS):
        freedom = count - 1
        reach = t_critical(confidence=CONFIDENCE, freedom=freedom) + t_critical(
            confidence=_POWER_CONFIDENCE, freedom=freedom
        )
        if reach * spread / math.sqrt(count) <= effect:
            return count
    return _MOST_TRIALS


def _verdict(mean: float, *, half: float, narrow: float, margin: float, higher_is_better: bool) -> Verdict:
    if abs(mean) + narrow < margin:
        return Verdict.EQUIVALENT
    if abs(mean) > half:
        return Verdict.BETTER if (mean > 0) == higher_is_better else Verdict.WORSE
    return Verdict.INCONCLUSIVE


def _without_interval(ratio: float | None, *, trials: int, note: str) -> Paired:
    return Paired(
        ratio=ratio,
        low=None,
        high=None,
        trials=trials,
        verdict=Verdict.INCONCLUSIVE,
        trials_needed=MIN_TRIALS,
        note=note,
    )
