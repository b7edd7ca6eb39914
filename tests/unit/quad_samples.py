"""Two simulated engines on one drifting machine, in virtual time: quads in their real order, each trial a closed loop.

The machine's speed wanders from trial to trial (a steady climb and a random walk), every trial has a noise of its own,
and both sides of a block get the same arrivals and the same work, as a plan gives them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.compare import Paired, compare_ratios
from tokenforge.analysis.quads import quads_of
from tokenforge.bench.order import trial_order
from tokenforge.domain.benchmark import Order

_CV = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`climb`: how much slower it gets from trial to trial; `wander` and `noise`: standard deviations of log speed."""

    climb: float = 0.01
    wander: float = 0.01
    noise: float = 0.003


def means(seed: int, *, factor: float, quads: int, machine: Machine) -> tuple[Mapping[int, float], ...]:
    """Mean end-to-end seconds per trial of A, and of B whose every token takes `factor` times as long."""
    chance = np.random.default_rng([seed, 5])
    found: tuple[dict[int, float], dict[int, float]] = ({}, {})
    steps = trial_order(runtimes=2, workloads=1, trials=2 * quads, order=Order.INTERLEAVED, seed=seed)
    speed = 0.0
    for step in steps:
        speed += machine.climb + chance.normal(0, machine.wander)
        slow = np.exp(speed + chance.normal(0, machine.noise)) * (factor if step.runtime == 1 else 1.0)
        found[step.runtime][step.trial] = _trial(seed, step.trial, slow=float(slow))
    return found


def contest(seed: int, *, factor: float, quads: int = 5, machine: Machine | None = None) -> Paired:
    """B against A by their quads; less is better."""
    a, b = means(seed, factor=factor, quads=quads, machine=machine or Machine())
    found = quads_of(a, b, positions={})
    return compare_ratios([quad.ratio for quad in found], higher_is_better=False)


def sequential(seed: int, *, factor: float, trials: int, machine: Machine | None = None) -> Paired:
    """The same machine measured the common way: all of A, then all of B."""
    machine = machine or Machine()
    chance = np.random.default_rng([seed, 6])
    speeds = np.exp(np.cumsum(machine.climb + chance.normal(0, machine.wander, 2 * trials)))
    speeds *= np.exp(chance.normal(0, machine.noise, 2 * trials))
    a = [_trial(seed, trial, slow=speeds[trial]) for trial in range(trials)]
    b = [_trial(seed, trial, slow=speeds[trials + trial] * factor) for trial in range(trials)]
    return compare_ratios([second / first for first, second in zip(a, b, strict=True)], higher_is_better=False)


def _trial(seed: int, trial: int, *, slow: float, requests: int = 200) -> float:
    """Closed loop of one client: what each request takes is its work. Equal (seed, trial) means equal work."""
    plan = np.random.default_rng([seed, trial])
    spread = np.sqrt(np.log1p(_CV**2))
    return float(plan.lognormal(-(spread**2) / 2, spread, requests).mean() * slow)
