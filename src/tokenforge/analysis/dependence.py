"""How many independent samples a series of waits is worth.

Requests that queue behind each other tell the same story: at load 0.8, 2,000 of them say as much about p95 as some 70
independent ones would. So whether a trial can carry a quantile is asked of its effective size, not of its length.
"""

import numpy as np

from tokenforge.analysis.requests import Bools, Floats

_LONGEST = 1 << 17


def effective_size(values: Floats, *, quantile: float) -> float:
    """n / tau of the events "above the quantile", in the order given; tau = 1 + 2 sum of autocorrelations.

    The sum ends before the first pair of neighbouring lags that is not positive. A long series is judged by its first
    131,072 values.
    """
    if len(values) < 4:
        return float(len(values))
    head = values[:_LONGEST]
    over = (head > np.quantile(head, quantile)).astype(np.float64)
    return len(values) / _autocorrelation_time(over)


def effective_events(events: Bools) -> float:
    """n / tau of events as they followed each other, judged by the first 131,072; n where all or none happened."""
    if len(events) < 4:
        return float(len(events))
    return len(events) / _autocorrelation_time(events[:_LONGEST].astype(np.float64))


def _autocorrelation_time(series: Floats) -> float:
    count = len(series)
    centred = series - series.mean()
    padded = 1 << (2 * count - 1).bit_length()
    spectrum = np.fft.rfft(centred, padded)
    covariance = np.fft.irfft(spectrum * np.conj(spectrum), padded)[:count]
    if covariance[0] <= 0:
        return 1.0
    even = count - count % 2
    pairs = (covariance[:even:2] + covariance[1:even:2]) / covariance[0]
    ends = np.flatnonzero(pairs <= 0)
    last = int(ends[0]) if len(ends) else len(pairs)
    return max(1.0, 2.0 * float(pairs[:last].sum()) - 1.0)
