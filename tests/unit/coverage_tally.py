"""How often intervals hold the truth, counted on the simulated queue."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from queue_samples import waits
from scipy.stats import binom

from tokenforge.analysis.intervals import Estimate
from tokenforge.analysis.requests import Floats

Repeat = list[Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Of all repeats: how many showed an interval, and how many of these held the truth."""

    repeats: int
    shown: int
    covered: int

    @property
    def coverage(self) -> float:
        return self.covered / self.shown if self.shown else 1.0

    @property
    def wrong(self) -> float:
        """The share of all repeats that showed an interval without the truth in it."""
        return (self.shown - self.covered) / self.repeats

    def refutes(self, promised: float) -> bool:
        """Whether so few hits happen less than once in a thousand where the promise holds."""
        return bool(binom.cdf(self.covered, self.shown, promised) < 1e-3)

    def is_wrong_beyond(self, share: float) -> bool:
        """Whether so many wrong intervals are shown less than once in a thousand where `share` of the repeats would."""
        return bool(binom.sf(self.shown - self.covered - 1, self.repeats, share) < 1e-3)

    def __str__(self) -> str:
        if not self.shown:
            return f"no interval in any of {self.repeats} repeats"
        return (
            f"shown in {self.shown / self.repeats:.1%} of {self.repeats} repeats, "
            f"holds the truth in {self.coverage:.1%} of these; shown and wrong in {self.wrong:.1%} of all"
        )


def repeats(seed: int, *, load: float, count: int, trials: int = 5, requests: int = 2000) -> Iterator[Repeat]:
    """So many runs of some trials each, made a hundred at a time."""
    for block in range(0, count, 100):
        rows = waits(seed + 1_000_003 * block, rows=100 * trials, requests=requests, load=load)
        yield from (list(run) for run in rows.reshape(100, trials, requests)[: count - block])


def tally(runs: Iterator[Repeat], estimate: Callable[[Repeat], Estimate], truth: float) -> Tally:
    """Estimate each run and count."""
    found = [estimate(run) for run in runs]
    bounds = [(one.low, one.high) for one in found if one.low is not None and one.high is not None]
    return Tally(repeats=len(found), shown=len(bounds), covered=sum(low <= truth <= high for low, high in bounds))


def true_quantiles(load: float, quantiles: tuple[float, ...]) -> list[float]:
    """Quantiles of TTFT from 8 million requests of another seed."""
    values = waits(987_654_321, rows=4000, requests=2000, load=load)
    return [float(value) for value in np.quantile(values, quantiles)]
