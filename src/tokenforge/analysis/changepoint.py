"""Where a history of runs last changed its level, so that an old machine or engine does not judge a new run.

A scan of two-sample t statistics over every split of every ending of the history, each ending from its start to the
newest run (binary segmentation by Scott and Knott, 1974, from the newest end; the scan statistic and its Bonferroni
bound as in Worsley, 1979). The shortest ending that shows a change gives the cut, so a level that went up and came back
is found too. Refuses nothing: fewer than four runs have no change that could be told.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from tokenforge.analysis.requests import Floats

_SIGNIFICANCE = 0.05
_MIN_STRETCH = 2
_TINY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The last change. `start` is the first run after it, `row` the series that shows it best, `step` its size."""

    start: int
    row: int
    step: float


def last_change(series: Floats) -> Change | None:
    """The last change of level in `series`, of shape (metrics, runs) in the order of time; None where none is shown.

    Values should be logarithms, so that `step` is a relative change. All series are cut at one place.
    """
    rows, count = series.shape
    lengths = range(2 * _MIN_STRETCH, count + 1)
    tests = rows * sum(length - 2 * _MIN_STRETCH + 1 for length in lengths)
    for length in lengths:
        ending = series[:, count - length :]
        found, steps = _scan(ending)
        row, place = np.unravel_index(int(np.argmax(found)), found.shape)
        if 2 * (1 - stdtr(length - 2, found[row, place])) * tests <= _SIGNIFICANCE:
            start = count - length + _MIN_STRETCH + int(place)
            return Change(start=start, row=int(row), step=float(steps[row, place]))
    return None


def _scan(values: Floats) -> tuple[Floats, Floats]:
    """|t| and the step of the mean for each split that leaves two runs on either side; shape (metrics, splits)."""
    count = values.shape[1]
    left = np.arange(_MIN_STRETCH, count - _MIN_STRETCH + 1)
    right = count - left
    sums, squares = np.cumsum(values, axis=1), np.cumsum((values - values[:, :1]) ** 2, axis=1)
    offset = sums - values[:, :1] * np.arange(1, count + 1)
    before, total = offset[:, left - 1], offset[:, -1:]
    after = total - before
    inside = squares[:, -1:] - before**2 / left - after**2 / right
    error = np.sqrt(np.maximum(inside, 0.0) / (count - 2) * (1 / left + 1 / right)) + _TINY
    steps = after / right - before / left
    return np.abs(steps) / error, steps
