"""How long a pause is, in seconds: one number, or a distribution that is drawn from a seed in `bench.durations`."""

from dataclasses import dataclass

LONGEST_S = 604_800.0
"""A week: the bound of every distribution that names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedSeconds:
    """Every draw is `value` seconds."""

    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UniformSeconds:
    """From `low` to `high` seconds, equally likely."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialSeconds:
    """Exponential with `mean` seconds, kept within [`low`, `high`] by drawing again."""

    mean: float
    low: float = 0.0
    high: float = LONGEST_S


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalSeconds:
    """Normal with `mean` and `std` seconds, kept within [`low`, `high`] by drawing again."""

    mean: float
    std: float
    low: float = 0.0
    high: float = LONGEST_S


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormalSeconds:
    """Lognormal with `mean` and coefficient of variation `cv` of the seconds (not of their logarithm), bounded."""

    mean: float
    cv: float
    low: float = 0.0
    high: float = LONGEST_S


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramSeconds:
    """`values[i]` seconds with relative weight `weights[i]`."""

    values: tuple[float, ...]
    weights: tuple[float, ...]


Duration = FixedSeconds | UniformSeconds | ExponentialSeconds | NormalSeconds | LogNormalSeconds | HistogramSeconds
