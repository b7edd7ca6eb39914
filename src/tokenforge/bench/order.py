"""Which trial runs when. Pure: the same benchmark and seed give the same order. `bench` and `compare` share this rule.

A machine drifts (heat, neighbours, caches). Where engines run side by side, trials come in quads: a row of engines and
its mirror (A B B A), so a steady drift hits both alike and cancels. Whoever opens a quad meets the machine as the quad
before left it, so the next quad is opened by the other (B A A B); which of the two comes first is drawn anew each time.
"""

import random
from dataclasses import dataclass

from tokenforge.domain.benchmark import Order

_MIRROR = (True, False, False, True)
"""Two quads: a row and its mirror, then the mirror and the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One trial of one workload on one runtime; all three are indexes into the benchmark's lists."""

    runtime: int
    workload: int
    trial: int


def trial_order(*, runtimes: int, workloads: int, trials: int, order: Order, seed: int) -> tuple[Step, ...]:
    """All steps in the order to run them.

    Interleaved: workload by workload, trial by trial; runtimes in a random order, mirrored as 1 -1 -1 1, for every four
    trials.
    Sequential: all of one runtime before the next.
    """
    if order is Order.SEQUENTIAL:
        return tuple(
            Step(runtime=r, workload=w, trial=t)
            for r in range(runtimes)
            for w in range(workloads)
            for t in range(trials)
        )
    chance = random.Random(f"trial-order/{seed}")
    steps: list[Step] = []
    for workload in range(workloads):
        row = list(range(runtimes))
        for trial in range(trials):
            row = chance.sample(row, len(row)) if trial % len(_MIRROR) == 0 else row
            ran = row if _MIRROR[trial % len(_MIRROR)] else row[::-1]
            steps.extend(Step(runtime=runtime, workload=workload, trial=trial) for runtime in ran)
    return tuple(steps)
