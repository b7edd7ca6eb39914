"""How a metric is defined: as data, from which the instruments, the reference page and the checks are made.

A label is bounded by its definition. Either all its values are known, or so many different ones are told apart and the
rest count as `other`: nobody who sends requests can make the number of series grow.
"""

import enum
import math
from dataclasses import dataclass

PREFIX = "tokenforge_"
OTHER = "other"
"""What a label says where its value is not one that may be told apart."""


class Kind(enum.StrEnum):
    """What a number does. A `summary` has a sum and a count and no buckets: for what an engine sums up itself."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


class Process(enum.StrEnum):
    """Who has it on its page."""

    GATEWAY = "gateway"
    WORKER = "worker"
    CONTROL = "control"
    BENCH = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One label. `values` are all there are; without them `most` different ones are kept and then `other`."""

    name: str
    text: str
    values: tuple[str, ...] = ()
    most: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. `name` is as it is queried, without the prefix; a histogram's has `_bucket`, `_sum`, `_count` behind.

    `unit` is a base unit, or empty for a count of things. `runtimes` that can tell it; empty: all.
    """

    name: str
    text: str
    kind: Kind
    processes: tuple[Process, ...]
    unit: str = ""
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    runtimes: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """The name in a query."""
        return PREFIX + self.name

    @property
    def label_names(self) -> tuple[str, ...]:
        """Its labels' names, in order."""
        return tuple(label.name for label in self.labels)


def decade_buckets(low: float, high: float, *, per_decade: int = 10) -> tuple[float, ...]:
    """Geometric bounds from `low` to `high`, both included, `per_decade` in each factor of ten."""
    steps = round(per_decade * math.log10(high / low))
    return tuple(float(f"{low * 10 ** (step / per_decade):.4g}") for step in range(steps + 1))


def preferred_buckets(low: float, high: float) -> tuple[float, ...]:
    """Ten bounds a decade, rounded as ISO 3 does (R10), so that limits which people set (0.2 s, 0.5 s) are bounds."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    bounds = [float(f"{step}e{decade - 2}") for decade in decades for step in _R10]
    return tuple(bound for bound in bounds if low <= bound <= high)


_R10 = (100, 125, 160, 200, 250, 315, 400, 500, 630, 800)

DURATION_BUCKETS = (*preferred_buckets(0.001, 100.0), 200.0, 500.0, 1000.0)
"""1 ms to 100 s at ten a decade, and three more for what should not happen."""

TOKEN_BUCKETS = preferred_buckets(0.0005, 10.0)
"""Between tokens: 0.5 ms to 10 s."""

COUNT_BUCKETS = tuple(float(2**power) for power in range(21))
"""Tokens of a request: powers of two, 1 to about a million."""
