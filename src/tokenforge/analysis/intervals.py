"""Uncertainty: t-intervals over trials, Wilson's for shares, and whether a quantile can be told from the data at all.

The unit is the trial. Requests within one trial wait behind each other, so an interval that treats them as independent
is far too narrow (at load 0.8 a nominal 95 % one covers one time in five). Where the data cannot carry a number we say
so, and how much more it needs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.special import betainc, ndtri, stdtrit

MIN_TRIALS = 3
CONFIDENCE = 0.95
_RULE_CONFIDENCE = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its 95 % interval. Absent is None, and then `note` says why; else it says what to heed."""

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str | None = None


def t_critical(*, confidence: float, freedom: int) -> float:
    """Student's two-sided critical value."""
    return float(stdtrit(freedom, 0.5 + confidence / 2))


def over_trials(values: Sequence[float | None], *, floor: float | None = 0.0, ceiling: float | None = None) -> Estimate:
    """Mean of one value per trial with its t-interval, cut at `floor` and `ceiling`. It needs at least 3 trials."""
    known = np.array([value for value in values if value is not None and math.isfinite(value)], dtype=np.float64)
    if len(known) == 0:
        return Estimate(value=None, note="no data")
    mean = float(known.mean())
    if len(known) < MIN_TRIALS:
        return Estimate(value=mean, note=f"no interval ({len(known)} of {MIN_TRIALS} trials)")
    half = t_critical(confidence=CONFIDENCE, freedom=len(known) - 1) * float(known.std(ddof=1)) / math.sqrt(len(known))
    low = mean - half if floor is None else max(floor, mean - half)
    high = mean + half if ceiling is None else min(ceiling, mean + half)
    return Estimate(value=mean, low=low, high=high)


def wilson(*, successes: float, total: float) -> Estimate:
    """A share with Wilson's 95 % interval; `total` may be an effective sample size."""
    if total <= 0:
        return Estimate(value=None, note="no data")
    z = float(ndtri(0.5 + CONFIDENCE / 2))
    share = successes / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return Estimate(value=share, low=max(0.0, centre - half), high=min(1.0, centre + half))


def within_note(trials: int) -> str:
    """What an interval from inside too few trials leaves out."""
    return f"within {trials} trial{'s' * (trials > 1)}: how trials differ is not in it"


@cache
def samples_needed(*, quantile: float, over: int = 0) -> int:
    """MLPerf's early stopping: how many samples a claim about a quantile needs when `over` of them lie above it.

    The smallest h + over with I_quantile(h, over + 1) <= 1 - 0.99, where h samples lie below.
    """
    below = 1
    while betainc(below, over + 1, quantile) > 1 - _RULE_CONFIDENCE:
        below *= 2
    low, high = below // 2, below
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if betainc(middle, over + 1, quantile) <= 1 - _RULE_CONFIDENCE else (middle, high)
    return high + over
