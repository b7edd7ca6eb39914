"""Quads of a comparison: four trials (A B B A or B A A B) give one ratio, and quads are what an interval rests on.

Trials 2q and 2q + 1 of both sides are quad q. Its ratio is the geometric mean of its two blocks' ratios B / A, so what
changes steadily over the four trials cancels. A quad that misses a trial gives no ratio.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tokenforge.domain.comparison import QUAD_BLOCKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Quad:
    """One quad of one metric. `a` and `b` hold a value for each of its two blocks; `ratio` is B / A."""

    quad: int
    order: str
    a: tuple[float, ...]
    b: tuple[float, ...]
    ratio: float


def quads_of(
    a: Mapping[int, float], b: Mapping[int, float], *, positions: Mapping[tuple[str, int], int]
) -> tuple[Quad, ...]:
    """Every whole quad, by trial number. `positions` tells when each (side, trial) ran; values must be above zero."""
    numbers = sorted({trial // QUAD_BLOCKS for trial in a.keys() | b.keys()})
    return tuple(quad for number in numbers if (quad := _quad(number, a, b, positions)) is not None)


def _quad(
    number: int, a: Mapping[int, float], b: Mapping[int, float], positions: Mapping[tuple[str, int], int]
) -> Quad | None:
    trials = range(QUAD_BLOCKS * number, QUAD_BLOCKS * (number + 1))
    left, right = [a.get(trial, 0.0) for trial in trials], [b.get(trial, 0.0) for trial in trials]
    if not all(value > 0 for value in (*left, *right)):
        return None
    logs = [math.log(second / first) for first, second in zip(left, right, strict=True)]
    ran = sorted((positions.get((side, trial), 0), side) for side in "AB" for trial in trials)
    return Quad(
        quad=number,
        order="".join(side for _, side in ran),
        a=tuple(left),
        b=tuple(right),
        ratio=math.exp(sum(logs) / len(logs)),
    )
