"""How long pauses are: draws of a duration distribution, in nanoseconds, by a seeded stream."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tokenforge.bench.chance import stream
from tokenforge.domain.durations import (
    Duration,
    ExponentialSeconds,
    FixedSeconds,
    HistogramSeconds,
    LogNormalSeconds,
    NormalSeconds,
    UniformSeconds,
)

Nanoseconds = npt.NDArray[np.int64]
Seconds = npt.NDArray[np.float64]
_TRIES = 1000
_NS = 1e9


def draw_durations_ns(duration: Duration, count: int, *, seed: int, purpose: str) -> Nanoseconds:
    """`count` draws. Bounded kinds draw again what falls outside; what a thousand tries do not mend is clipped."""
    chance = stream(seed, "durations", purpose)
    return np.round(_draw(duration, count, chance) * _NS).astype(np.int64)


def _draw(duration: Duration, count: int, chance: np.random.Generator) -> Seconds:
    if isinstance(duration, FixedSeconds):
        return np.full(count, duration.value)
    if isinstance(duration, UniformSeconds):
        return chance.uniform(duration.low, duration.high, size=count)
    if isinstance(duration, HistogramSeconds):
        weights = np.asarray(duration.weights) / sum(duration.weights)
        return chance.choice(np.asarray(duration.values, dtype=np.float64), size=count, p=weights)
    return _bounded(_unbounded(duration, chance), count, low=duration.low, high=duration.high)


def _unbounded(
    duration: ExponentialSeconds | NormalSeconds | LogNormalSeconds, chance: np.random.Generator
) -> Callable[[int], Seconds]:
    if isinstance(duration, ExponentialSeconds):
        return lambda count: chance.exponential(duration.mean, size=count)
    if isinstance(duration, NormalSeconds):
        return lambda count: chance.normal(duration.mean, duration.std, size=count)
    variance = np.log1p(duration.cv**2)
    return lambda count: chance.lognormal(np.log(duration.mean) - variance / 2, np.sqrt(variance), size=count)


def _bounded(draw: Callable[[int], Seconds], count: int, *, low: float, high: float) -> Seconds:
    drawn = draw(count)
    for _ in range(_TRIES):
        outside = (drawn < low) | (drawn > high)
        if not outside.any():
            break
        drawn[outside] = draw(int(outside.sum()))
    return np.clip(drawn, low, high)
