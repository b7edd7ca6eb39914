"""Comparison: two sides, A and B, under one workload, in quads. Stated before the first trial, recorded with the run.

A quad is four trials, A B B A or B A A B: two blocks, each with its own prompts and schedule, the same for both sides.
A drift of the machine that is steady over a quad hits both sides alike and cancels in the quad's ratio.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenforge.domain.runtime import RuntimeRef

SIDES = ("A", "B")
QUAD_BLOCKS = 2
"""Trials of each side in a quad."""


class Restart(enum.StrEnum):
    """When engines are started anew: before every trial (one is up at a time), before every quad, or never.

    What a start of an engine does to its speed is in the interval only where engines are restarted.
    """

    EVERY = "every"
    QUAD = "quad"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two: a `runtime` that is started here with `engine_args`, or the `url` of a server that runs."""

    runtime: RuntimeRef | None = None
    url: str | None = None
    engine_args: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonSpec:
    """What is compared and how it is decided. `sides` are A and B; B is judged against A.

    `metric` alone decides. `delta` is a share: a difference that is surely within it counts as none.
    """

    sides: tuple[Side, ...]
    quads: int
    metric: str
    delta: float = 0.05
    restart: Restart = Restart.QUAD
