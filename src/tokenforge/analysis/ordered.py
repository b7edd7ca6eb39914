"""Values of several trials, each sorted, read as if they were one sorted array, without making it."""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.requests import Floats


@dataclass(frozen=True, slots=True)
class Ordered:
    """A sorted array per trial; none of them is empty."""

    trials: tuple[Floats, ...]

    def __len__(self) -> int:
        return sum(len(trial) for trial in self.trials)

    def at(self, share: float) -> float:
        """The value at a share (0 to 1) of all values, linear between ranks. Raises ValueError where there is none."""
        place = min(max(share, 0.0), 1.0) * (len(self) - 1)
        low = self._ranked(math.floor(place))
        part = place - math.floor(place)
        return low if part == 0 else low + part * (self._ranked(math.floor(place) + 1) - low)

    def counts_to(self, value: float) -> list[int]:
        """How many values of each trial are at most `value`."""
        return [int(np.searchsorted(trial, value, "right")) for trial in self.trials]

    def _ranked(self, rank: int) -> float:
        """The value that `rank` others precede: in each trial the first with enough at or below it, then the least."""
        found = (_first(trial, lambda value: sum(self.counts_to(value)) > rank) for trial in self.trials)
        return min(value for value in found if value is not None)


def _first(trial: Floats, is_far: Callable[[float], bool]) -> float | None:
    place = bisect_left(trial, x=True, key=lambda value: is_far(float(value)))
    return float(trial[place]) if place < len(trial) else None
