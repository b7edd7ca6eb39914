"""How long prompts and outputs are: draws of a length distribution, in tokens, by a seeded stream."""

import numpy as np
import numpy.typing as npt

from tokenforge.bench.chance import stream
from tokenforge.domain.workload import Fixed, Histogram, Length, LogNormal, Normal, Uniform

Tokens = npt.NDArray[np.int64]
_TRIES = 1000


def draw_lengths(length: Length, count: int, *, seed: int, purpose: str) -> Tokens:
    """`count` draws. Bounded kinds draw again what falls outside; what a thousand tries do not mend is clipped."""
    chance = stream(seed, "lengths", purpose)
    if isinstance(length, Fixed):
        return np.full(count, length.value, dtype=np.int64)
    if isinstance(length, Uniform):
        return chance.integers(length.low, length.high, size=count, endpoint=True)
    if isinstance(length, Histogram):
        weights = np.asarray(length.weights) / sum(length.weights)
        return chance.choice(np.asarray(length.values, dtype=np.int64), size=count, p=weights)
    return _bounded(length, count, chance)


def longest_tokens(length: Length) -> int:
    """The most tokens that a draw may come to, whatever the seed."""
    if isinstance(length, Fixed):
        return length.value
    if isinstance(length, Histogram):
        return max(value for value, weight in zip(length.values, length.weights, strict=True) if weight > 0)
    return length.high


def _bounded(length: Normal | LogNormal, count: int, chance: np.random.Generator) -> Tokens:
    drawn = _draw(length, count, chance)
    for _ in range(_TRIES):
        outside = (drawn < length.low) | (drawn > length.high)
        if not outside.any():
            break
        drawn[outside] = _draw(length, int(outside.sum()), chance)
    return np.clip(drawn, length.low, length.high)


def _draw(length: Normal | LogNormal, count: int, chance: np.random.Generator) -> Tokens:
    if isinstance(length, Normal):
        values = chance.normal(length.mean, length.std, size=count)
    else:
        variance = np.log1p(length.cv**2)
        values = chance.lognormal(np.log(length.mean) - variance / 2, np.sqrt(variance), size=count)
    return np.round(values).astype(np.int64)
