"""The order of trials."""

from collections import Counter

import pytest

from tokenforge.bench.order import Step, trial_order
from tokenforge.domain.benchmark import Order


def runtimes_in_order(seed: int, *, runtimes: int = 2, trials: int = 4) -> list[int]:
    steps = trial_order(runtimes=runtimes, workloads=1, trials=trials, order=Order.INTERLEAVED, seed=seed)
    return [step.runtime for step in steps]


@pytest.mark.parametrize("seed", range(10))
def test_interleaved_trials_of_two_runtimes_mirror_each_other(seed: int) -> None:
    first, second, third, fourth, *_ = runtimes_in_order(seed)
    assert (first, second) == (fourth, third)


@pytest.mark.parametrize("seed", range(10))
def test_of_two_quads_each_side_opens_one(seed: int) -> None:
    order = runtimes_in_order(seed, trials=8)
    quads = [tuple(order[at : at + 4]) for at in range(0, 16, 4)]
    assert {quads[0], quads[1]} == {quads[2], quads[3]} == {(0, 1, 1, 0), (1, 0, 0, 1)}


def test_the_first_runtime_is_not_always_first() -> None:
    assert {runtimes_in_order(seed)[0] for seed in range(20)} == {0, 1}


def test_every_trial_runs_once_in_either_order() -> None:
    for order in Order:
        steps = trial_order(runtimes=3, workloads=2, trials=5, order=order, seed=1)
        assert set(Counter(steps).values()) == {1}
        assert len(steps) == 30


def test_sequential_finishes_one_runtime_before_the_next() -> None:
    steps = trial_order(runtimes=2, workloads=2, trials=1, order=Order.SEQUENTIAL, seed=1)
    assert steps[:2] == (Step(runtime=0, workload=0, trial=0), Step(runtime=0, workload=1, trial=0))


def test_the_same_seed_gives_the_same_order() -> None:
    assert runtimes_in_order(7, runtimes=4) == runtimes_in_order(7, runtimes=4)
