"""How many independent samples a series of waits is worth.

Requests that queue behind each other tell the same story: at load 0.8, 2,000 of them say as much as some 60 independent
ones would. So whether data can carry a number is asked of their effective size n / tau, not of their length.
tau = 1 + 2 sum of autocorrelations; the sum ends before the first pair of neighbouring lags that is not positive, for
the sum of such a pair cannot be negative in truth, so that what follows is noise (Geyer 1992, initial positive
sequence).
"""

from collections.abc import Sequence

import numpy as np

from tokenforge.analysis.requests import Bools, Floats

_LONGEST = 1 << 17


def effective_size(values: Floats, *, quantile: float) -> float:
    """n / tau of the events "above the quantile", in the order given, judged by the first 131,072."""
    if len(values) < 4:
        return float(len(values))
    head = values[:_LONGEST]
    over = (head > np.quantile(head, quantile)).astype(np.float64)
    return len(values) / _autocorrelation_time([over])


def effective_events(events: Bools) -> float:
    """n / tau of events as they followed each other, judged by the first 131,072; n where all or none happened."""
    if len(events) < 4:
        return float(len(events))
    return len(events) / _autocorrelation_time([events[:_LONGEST].astype(np.float64)])


def worth_by_rank(trials: Sequence[Floats]) -> float:
    """What one value is worth, 1 / tau, from an array per trial in order of time.

    Of ranks, not of values: a single burst of huge waits does not decide it, so it says nearly the same of every
    stretch of one queue. That matters, for a rule that shows an interval only after a calm stretch shows those that
    miss. Covariances of all trials are added up, each about its own mean: what differs between trials is no memory.
    """
    return 1.0 / _autocorrelation_time([_ranks(values[:_LONGEST]) for values in trials])


def worth_of_values(trials: Sequence[Floats]) -> float:
    """The same of the values themselves, which is what a mean is worth."""
    return 1.0 / _autocorrelation_time([values[:_LONGEST] for values in trials])


def _ranks(values: Floats) -> Floats:
    """The rank of each value; equal values share the middle of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles: Floats = np.cumsum(counts) - counts / 2
    return middles[places]


def _autocorrelation_time(trials: Sequence[Floats]) -> float:
    count = max((len(series) for series in trials), default=0)
    covariance = np.sum([_covariances(series, count) for series in trials], axis=0) if count >= 4 else np.zeros(1)
    if covariance[0] <= 0:
        return 1.0
    even = count - count % 2
    pairs = (covariance[:even:2] + covariance[1:even:2]) / covariance[0]
    ends = np.flatnonzero(pairs <= 0)
    last = int(ends[0]) if len(ends) else len(pairs)
    return max(1.0, 2.0 * float(pairs[:last].sum()) - 1.0)


def _covariances(series: Floats, lags: int) -> Floats:
    """Summed products of a series about its mean with itself, by lag."""
    if len(series) == 0:
        return np.zeros(lags)
    padded = 1 << (2 * lags - 1).bit_length()
    spectrum = np.fft.rfft(series - series.mean(), padded)
    products: Floats = np.fft.irfft(spectrum * np.conj(spectrum), padded)[:lags]
    return products
