"""Was a series one state, or still on its way? Asked of all trials of a run together.

Two questions. MSER-5 (White 1997): how many first batches to leave out, so that the mean of the rest is surest? An
optimum at half-way, the furthest that it may cut, says that not even the second half has settled. It is asked of the
mean of all trials (as Hoad, Robinson and Davies 2010 do), for one trial of a queue is mostly noise, and from both ends.
And: do the halves of the trials differ, more than the trials do (Student's t)? MSER alone sees half of what changes
slowly and, on short busy queues, what is not there; so either both agree, or the halves differ beyond doubt.

We do not cut where MSER says: on a queue that is steady it cuts off busy spells, and the rest is too low.
"""

import math
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.intervals import MIN_TRIALS, t_critical
from tokenforge.analysis.requests import Floats

MIN_BATCHES = 20
_EDGE = 0.95
_GROUPS = 10
_SURE, _LARGE = 0.95, 0.10
_VERY_SURE, _VERY_LARGE = 0.99, 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Settling:
    """One series of a run. `change` is from the first half to the second, as a share of the mean.

    `cut` is the share of the start that MSER-5 would leave out, at most a half; `at_edge` says that it would take all
    it may, from the start or from the end.
    """

    change: float
    cut: float
    at_edge: bool
    is_steady: bool


def settling(batches: Floats) -> Settling | None:
    """Judge means of neighbours in order of time, shape (trials, batches); None below 20 batches or a mean of 0."""
    count = batches.shape[1]
    if count < MIN_BATCHES or float(batches.mean()) <= 0:
        return None
    together = batches.mean(axis=0)
    cut, back = mser_cut(together), mser_cut(together[::-1])
    at_edge = max(cut, back) >= math.floor(_EDGE * (count // 2))
    change, error, freedom = _change(batches)
    is_sure, is_very_sure = (
        abs(change) > max(least, t_critical(confidence=confidence, freedom=freedom) * error)
        for confidence, least in ((_SURE, _LARGE), (_VERY_SURE, _VERY_LARGE))
    )
    is_steady = not (is_very_sure or (at_edge and is_sure))
    return Settling(change=change, cut=cut / count, at_edge=at_edge, is_steady=is_steady)


def mser_cut(batches: Floats) -> int:
    """How many first batches to leave out, at most half, so that the rest's mean has the least squared error."""
    count = len(batches)
    centred = batches - batches.mean()
    left = count - np.arange(count)
    sums = np.cumsum(centred[::-1])[::-1]
    squares = np.cumsum(centred[::-1] ** 2)[::-1]
    errors = (squares - sums**2 / left) / left.astype(np.float64) ** 2
    return int(np.argmin(errors[: count // 2 + 1]))


def _change(batches: Floats) -> tuple[float, float, int]:
    """The second half's mean less the first's as a share of the mean; its standard error; degrees of freedom.

    By how trials differ in it; where they are too few, by means of ten stretches of each.
    """
    trials, count = batches.shape
    half = count // 2
    if trials >= MIN_TRIALS:
        means = np.maximum(batches.mean(axis=1), np.finfo(np.float64).tiny)
        changes = (batches[:, half:].mean(axis=1) - batches[:, :half].mean(axis=1)) / means
        return float(changes.mean()), float(changes.std(ddof=1)) / math.sqrt(trials), trials - 1
    size = count // _GROUPS
    parts = batches[:, count - size * _GROUPS :].reshape(trials, _GROUPS, size).mean(axis=2)
    first, second = parts[:, : _GROUPS // 2].ravel(), parts[:, _GROUPS // 2 :].ravel()
    mean = float(parts.mean())
    error = math.sqrt(float(first.var(ddof=1) + second.var(ddof=1)) / len(first)) / mean
    return float(second.mean() - first.mean()) / mean, error, 2 * len(first) - 2
