"""How late requests left, in bounded memory: counts in bins that are 1/128 of their value wide.

A trial of hours is watched five times a second, so lags are neither kept nor sorted. A quantile is its bin's upper
edge: never below the true one, and less than 0.8 % above (exact below 256 ns).
"""

import math

_BITS = 7


class LagHistogram:
    """Counts lags in ns. Requests are never sent early; a lag below zero is counted as zero."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._total = 0

    def add(self, lag_ns: int) -> None:
        """Count one."""
        lag_ns = max(0, lag_ns)
        shift = max(0, lag_ns.bit_length() - _BITS - 1)
        key = (shift << _BITS) + (lag_ns >> shift)
        self._counts[key] = self._counts.get(key, 0) + 1
        self._total += 1

    def quantile_ms(self, share: float) -> float | None:
        """The nearest-rank quantile; None of nothing."""
        left = max(1, math.ceil(share * self._total))
        for key in sorted(self._counts):
            left -= self._counts[key]
            if left <= 0:
                return _upper_edge_ns(key) / 1e6
        return None


def _upper_edge_ns(key: int) -> int:
    """The largest lag that falls into the bin."""
    shift = max(0, (key >> _BITS) - 1)
    return ((key - (shift << _BITS) + 1) << shift) - 1
