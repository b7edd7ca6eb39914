"""How far a share could be off inside one trial: blocks of neighbours drawn again, with a seed (Künsch 1989).

Neighbours wait behind each other, so they are drawn together, in blocks of about twice the time that the series
remembers. What is drawn is how many values of a block lie above a mark; so it costs blocks, not values.
It knows nothing of what differs between trials (a restart, another layout of memory).
"""

import math
from collections.abc import Sequence

import numpy as np

from tokenforge.analysis.requests import Bools, Floats

MIN_BLOCKS = 10
_DRAWS = 1000
_MOST_BLOCKS = 2000
_SEED = 20_260_101
_TAIL = 0.025


def share_interval(trials: Sequence[Bools], *, worth: float) -> tuple[float, float] | None:
    """The 95 % interval of the share of events in all trials, an array each in order of time; `worth` is 1 / tau.

    None where there are fewer than 10 blocks to draw from.
    """
    counts = [_blocks(events, _block_size(len(events), worth)) for events in trials]
    happened, held = (np.concatenate(parts) for parts in zip(*counts, strict=True))
    if len(happened) < MIN_BLOCKS:
        return None
    drawn = np.random.default_rng(_SEED).integers(0, len(happened), size=(_DRAWS, len(happened)))
    shares = happened[drawn].sum(axis=1) / held[drawn].sum(axis=1)
    low, high = np.quantile(shares, [_TAIL, 1 - _TAIL]).tolist()
    return low, high


def _block_size(count: int, worth: float) -> int:
    """2 tau; longer where that makes too many blocks."""
    return max(1, math.ceil(2 / worth), math.ceil(count / _MOST_BLOCKS))


def _blocks(events: Bools, size: int) -> tuple[Floats, Floats]:
    """Per block: how many events, and how many values there are; the last block may be short."""
    starts = np.arange(0, len(events), size)
    held = np.minimum(size, len(events) - starts).astype(np.float64)
    return np.add.reduceat(events.astype(np.float64), starts), held
