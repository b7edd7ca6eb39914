"""How many trials a difference takes: power of t tests, from the noncentral t distribution. Two-sided 5 %, power 80 %.

Effects and noise are in one unit: shares and coefficients of variation, or log ratios and their standard deviation.
"""

import math
from collections.abc import Callable
from functools import cache

from scipy.special import nctdtr

from tokenforge.analysis.intervals import CONFIDENCE, MIN_TRIALS, t_critical

POWER = 0.80
MOST = 1000
EQUIVALENCE_CONFIDENCE = 0.90
"""Two one-sided tests at 5 % are one 90 % interval inside the margin (Schuirmann, 1987)."""

_CERTAIN = 12.0
_ONE_SIDED_FROM = 4.0


@cache
def trials_per_arm(*, cv: float, effect: float) -> int:
    """Trials on each of two sides, not paired, that show a difference of `effect` where trials vary by `cv`."""
    return _first(lambda n: _power(effect / cv * math.sqrt(n / 2), freedom=2 * n - 2), start=2)


def pairs_needed(*, spread: float, effect: float) -> int:
    """Pairs that show a log ratio of `effect` where log ratios of pairs vary by `spread` (standard deviation)."""
    if spread <= 0:
        return MIN_TRIALS
    return _first(lambda n: _power(abs(effect) / spread * math.sqrt(n), freedom=n - 1), start=MIN_TRIALS)


def pairs_to_decide(*, mean: float, spread: float, margin: float) -> int:
    """Pairs that would show a difference or, where that is sooner, that there is none beyond `margin`.

    Taken at the mean and spread of the log ratios seen so far, so it is as rough as they are.
    """
    differ = pairs_needed(spread=spread, effect=mean)
    room = margin - abs(mean)
    if room <= 0:
        return differ
    return min(differ, _first(lambda n: float(_equivalence_reach(spread, n) <= room), start=MIN_TRIALS))


def smallest_effect(*, spread: float, pairs: int) -> float:
    """The smallest log ratio that so many pairs show with 80 % power."""
    low, high = 0.0, max(spread, 1e-9) * 100
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        enough = _power(middle / max(spread, 1e-9) * math.sqrt(pairs), freedom=pairs - 1) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return high


def _power(shift: float, *, freedom: int) -> float:
    """The chance that a two-sided t test sees a mean that lies `shift` standard errors from zero.

    Far from zero the other tail is nothing (and `nctdtr` gives NaN for it).
    """
    if shift > _CERTAIN:
        return 1.0
    edge = t_critical(confidence=CONFIDENCE, freedom=freedom)
    other_tail = nctdtr(freedom, shift, -edge) if shift < _ONE_SIDED_FROM else 0.0
    return float(1 - nctdtr(freedom, shift, edge) + other_tail)


def _equivalence_reach(spread: float, count: int) -> float:
    """How far from the margin the mean must lie: half the 90 % interval, and room for chance on both sides."""
    edge = t_critical(confidence=EQUIVALENCE_CONFIDENCE, freedom=count - 1)
    room = t_critical(confidence=POWER, freedom=count - 1)
    return (edge + room) * spread / math.sqrt(count)


def _first(power: Callable[[int], float], *, start: int) -> int:
    """The smallest count with a power of 80 %, by doubling and halving."""

    def enough(count: int) -> bool:
        return power(count) >= POWER

    high = start
    while high < MOST and not enough(high):
        high *= 2
    low = high // 2 if high > start else start - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return min(high, MOST)
