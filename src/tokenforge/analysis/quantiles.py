"""A quantile of one metric over all trials of a run, with an interval, or a word on how much is missing.

The value is that of all requests together. Its interval asks how far the share of requests below it differs from trial
to trial (Student's t), and reads the values at those shares (Woodruff 1952, with trials as clusters). Intervals from
the quantiles of single trials would miss more: a trial's own p99 is skewed and too low. With fewer than 3 trials the
shares come from inside them: the wider of the block bootstrap's and that of as many independent requests as they are
worth, for each alone is too narrow in its own way (blocks cut what neighbours share at their edges; tau is a sum that
was ended early).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.bootstrap import share_interval
from tokenforge.analysis.dependence import worth_by_rank, worth_of_values
from tokenforge.analysis.intervals import (
    CONFIDENCE,
    MIN_TRIALS,
    Estimate,
    over_trials,
    samples_needed,
    t_critical,
    within_note,
)
from tokenforge.analysis.ordered import Ordered
from tokenforge.analysis.requests import Floats

_LEAST_FOR_A_MEAN = 100.0
_OVER = 10
"""How many independent values above a quantile an interval from inside one trial needs (MLPerf's n for t = 10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """One metric of one run; trials without a value are left out.

    `in_time` has the values as requests came, only where trials are too few to be compared; `worth` is what one value
    is worth among its neighbours, by rank.
    """

    ordered: Ordered
    in_time: tuple[Floats, ...]
    worth: float

    @property
    def effective(self) -> float:
        """How many independent values all of them are worth."""
        return len(self.ordered) * self.worth


def read_samples(trials: Iterable[Floats]) -> Samples:
    """From an array per trial in order of time, which come back sorted."""
    arrays = tuple(values for values in trials if len(values))
    worth = worth_by_rank(arrays)
    in_time = tuple(values.copy() for values in arrays) if len(arrays) < MIN_TRIALS else ()
    for values in arrays:
        values.sort()
    return Samples(ordered=Ordered(arrays), in_time=in_time, worth=worth)


def estimate_quantile(samples: Samples, *, name: str, quantile: float) -> Estimate:
    """The quantile where the data are worth what MLPerf's early stopping asks; its interval where each trial is."""
    ordered, needed = samples.ordered, samples_needed(quantile=quantile)
    if len(ordered) == 0:
        return Estimate(value=None, note="no data")
    if samples.effective < needed:
        more = math.ceil((needed - samples.effective) / samples.worth)
        return Estimate(value=None, note=f"{name} not estimable (needs {more:,} more)")
    value = ordered.at(quantile)
    if samples.in_time:
        return _inside(samples, value=value, quantile=quantile)
    half = _share_between(ordered, value)
    if more := _more_per_trial(samples, needed=needed, half=half, room=min(quantile, 1 - quantile)):
        return Estimate(value=value, note=f"no interval (needs {more:,} more per trial)")
    return Estimate(value=value, low=ordered.at(quantile - half), high=ordered.at(quantile + half))


def estimate_mean(samples: Samples, means: list[float | None], *, floor: float | None) -> Estimate:
    """The mean over trials; with fewer than 3 of them, of all values with an interval from inside the trials.

    That needs a worth of 100 independent values: from fewer, tau is not known well enough.
    """
    between = over_trials(means, floor=floor)
    if not samples.in_time:
        return between
    values = np.concatenate(samples.in_time)
    effective = len(values) * worth_of_values(samples.in_time)
    if effective < _LEAST_FOR_A_MEAN:
        return between
    mean = float(values.mean())
    half = _t_by_worth(effective) * float(values.std()) / math.sqrt(effective)
    low = mean - half if floor is None else max(floor, mean - half)
    return Estimate(value=mean, low=low, high=mean + half, note=within_note(len(samples.in_time)))


def _share_between(ordered: Ordered, value: float) -> float:
    """Half of the 95 % interval of the share at or below `value`, by how the trials differ in it."""
    sizes = np.array([len(trial) for trial in ordered.trials], dtype=np.float64)
    below = np.array(ordered.counts_to(value), dtype=np.float64)
    off = (below - below.sum() / sizes.sum() * sizes) / sizes.mean()
    count = len(sizes)
    return t_critical(confidence=CONFIDENCE, freedom=count - 1) * float(off.std(ddof=1)) / math.sqrt(count)


def _more_per_trial(samples: Samples, *, needed: int, half: float, room: float) -> int:
    """How many more requests each trial needs: to be worth `needed`, and for an interval that ends inside the data."""
    counts = [len(trial) for trial in samples.ordered.trials]
    too_small = math.ceil(needed / samples.worth) - min(counts)
    too_unsure = math.ceil((half / room) ** 2 * max(counts)) - max(counts) + 1 if half >= room else 0
    return max(0, too_small, too_unsure)


def _inside(samples: Samples, *, value: float, quantile: float) -> Estimate:
    """By what happened inside the trials."""
    missing = samples_needed(quantile=quantile, over=_OVER) - samples.effective
    if missing > 0:
        return Estimate(value=value, note=f"no interval (needs {math.ceil(missing / samples.worth):,} more)")
    low, high = (samples.ordered.at(share) for share in _shares_inside(samples, value=value, quantile=quantile))
    return Estimate(value=value, low=low, high=high, note=within_note(len(samples.in_time)))


def _shares_inside(samples: Samples, *, value: float, quantile: float) -> tuple[float, float]:
    """Between which shares of the values seen the true quantile lies."""
    above = [values > value for values in samples.in_time]
    worth = min(samples.worth, worth_of_values([events.astype(np.float64) for events in above]))
    effective = len(samples.ordered) * worth
    half = _t_by_worth(effective) * math.sqrt(quantile * (1 - quantile) / effective)
    low, high = quantile - half, quantile + half
    if (drawn := share_interval(above, worth=worth)) is not None:
        low, high = min(low, 1 - drawn[1]), max(high, 1 - drawn[0])
    return low, high


def _t_by_worth(effective: float) -> float:
    """Student's t where tau was estimated too: as well known as a variance of a tenth of the worth (Sokal 1997)."""
    return t_critical(confidence=CONFIDENCE, freedom=max(1, int(effective / 10)))
