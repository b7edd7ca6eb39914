"""How many independent values a series is worth, on series whose memory is known."""

import numpy as np
import pytest
from queue_samples import waits

from tokenforge.analysis.dependence import effective_events, effective_size, worth_by_rank, worth_of_values
from tokenforge.analysis.requests import Floats


def remembering(seed: int, *, memory: float, count: int) -> Floats:
    """An autoregressive series of order one, whose tau is (1 + memory) / (1 - memory)."""
    noise = np.random.default_rng(seed).normal(size=count)
    series = np.empty(count)
    series[0] = noise[0] / np.sqrt(1 - memory**2)
    for at in range(1, count):
        series[at] = memory * series[at - 1] + noise[at]
    return series


def test_independent_values_are_worth_what_they_count() -> None:
    values = np.random.default_rng(1).exponential(size=5000)
    assert effective_size(values, quantile=0.95) == pytest.approx(5000, rel=0.1)
    assert worth_by_rank([values]) == pytest.approx(1.0, rel=0.1)


def test_values_that_come_in_runs_of_ten_are_worth_a_tenth() -> None:
    values = np.repeat(np.random.default_rng(1).exponential(size=2000), 10)
    assert effective_size(values, quantile=0.5) == pytest.approx(2000, rel=0.15)
    assert worth_by_rank([values]) == pytest.approx(0.1, rel=0.15)


def test_a_series_of_known_memory_is_worth_what_theory_says() -> None:
    trials = [remembering(seed, memory=0.8, count=20_000) for seed in range(5)]
    assert worth_of_values(trials) == pytest.approx((1 - 0.8) / (1 + 0.8), rel=0.1)


def test_a_difference_between_trials_is_no_memory() -> None:
    chance = np.random.default_rng(2)
    trials = [chance.exponential(size=2000) + 10 * trial for trial in range(5)]
    assert worth_by_rank(trials) == pytest.approx(1.0, rel=0.1)


def test_one_burst_of_huge_waits_hardly_moves_the_worth_by_rank() -> None:
    values = waits(1, rows=1, requests=2000, load=0.5)[0]
    burst = values.copy()
    burst[500:510] += 1000.0
    assert worth_by_rank([burst]) == pytest.approx(worth_by_rank([values]), rel=0.05)


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0], [5.0] * 100])
def test_values_that_show_no_memory_are_worth_what_they_count(values: list[float]) -> None:
    assert worth_by_rank([np.array(values)]) == 1.0
    assert effective_size(np.ones(100), quantile=0.5) == 100.0


def test_events_of_which_all_happened_are_worth_what_they_count() -> None:
    assert effective_events(np.ones(50, dtype=np.bool_)) == 50.0


def test_trials_of_other_lengths_are_taken_together() -> None:
    long, short = (np.random.default_rng(3).exponential(size=size) for size in (4000, 300))
    assert worth_by_rank([long, short, np.empty(0)]) == pytest.approx(1.0, rel=0.1)
