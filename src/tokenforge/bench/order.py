"""Which trial runs when. Pure: the same benchmark and seed give the same order.

A machine drifts (heat, neighbours, caches). Where engines run side by side, trials alternate in mirrored pairs (AB BA),
so a steady drift hits both alike and cancels in the paired difference.
"""

import random
from dataclasses import dataclass

from tokenforge.domain.benchmark import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One trial of one workload on one runtime; all three are indexes into the benchmark's lists."""

    runtime: int
    workload: int
    trial: int


def trial_order(*, runtimes: int, workloads: int, trials: int, order: Order, seed: int) -> tuple[Step, ...]:
    """All steps in the order to run them.

    Interleaved: workload by workload, trial by trial; runtimes in a random order that the next trial mirrors.
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
            row = row[::-1] if trial % 2 else chance.sample(row, len(row))
            steps.extend(Step(runtime=runtime, workload=workload, trial=trial) for runtime in row)
    return tuple(steps)
