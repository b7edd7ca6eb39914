"""Intervals and the rule for quantiles, against published and simulated values."""

import numpy as np
import pytest

from tokenforge.analysis.dependence import effective_size
from tokenforge.analysis.intervals import (
    Estimate,
    QuantileSamples,
    over_trials,
    quantile_over_trials,
    samples_needed,
    t_critical,
    wilson,
)


@pytest.mark.parametrize(
    ("quantile", "expected"),
    [
        (0.99, [459, 662, 838, 1307, 2010, 3304, 6898, 12571]),
        (0.95, [90, 130, 165, 259, 398, 656, 1372, 2504]),
        (0.90, [44, 64, 81, 127, 197, 325, 681, 1246]),
    ],
)
def test_the_early_stopping_table_is_exact(quantile: float, expected: list[int]) -> None:
    over = (0, 1, 2, 5, 10, 20, 50, 100)
    assert [samples_needed(quantile=quantile, over=t) for t in over] == expected


def test_students_critical_values() -> None:
    assert t_critical(confidence=0.95, freedom=4) == pytest.approx(2.776, abs=1e-3)


def test_an_interval_over_five_trials() -> None:
    estimate = over_trials([10.0, 11.0, 12.0, 13.0, 14.0])
    assert estimate.value == 12.0
    assert estimate.low == pytest.approx(12 - 2.776 * 1.5811 / 5**0.5, abs=1e-3)


def test_two_trials_have_a_value_and_no_interval() -> None:
    estimate = over_trials([10.0, None, 12.0])
    assert (estimate.value, estimate.low, estimate.note) == (11.0, None, "no interval (2 of 3 trials)")


def test_no_trial_is_no_value() -> None:
    assert over_trials([None]).value is None


def test_an_interval_stays_within_what_is_possible() -> None:
    estimate = over_trials([0.0, 0.5, 1.0], ceiling=1.0)
    assert (estimate.low, estimate.high) == (0.0, 1.0)


def test_wilsons_interval_of_nothing_wrong_in_ten() -> None:
    estimate = wilson(successes=10, total=10)
    assert estimate.low == pytest.approx(0.7225, abs=1e-4)
    assert estimate.high == pytest.approx(1.0)


def p99(values: list[float | None], counts: list[int], effective: list[float]) -> Estimate:
    samples = QuantileSamples(values=values, counts=counts, effective=effective)
    return quantile_over_trials(samples, name="p99", quantile=0.99, pooled=lambda: 9.1)


def test_a_quantile_that_the_data_cannot_carry_says_how_many_more() -> None:
    estimate = p99([9.0], [300], [300.0])
    assert estimate.value is None
    assert estimate.note == "p99 not estimable (needs 159 more)"


def test_trials_that_are_small_alone_give_a_pooled_quantile_without_interval() -> None:
    estimate = p99([9.0, 9.5, 8.5], [200, 200, 200], [200.0, 200.0, 200.0])
    assert (estimate.value, estimate.low) == (9.1, None)


def test_trials_that_are_long_but_worth_little_give_no_interval_either() -> None:
    estimate = p99([9.0, 9.5, 8.5], [2000, 2000, 2000], [200.0, 200.0, 200.0])
    assert (estimate.low, estimate.note) == (None, "no interval (needs 2,590 more per trial)")


def test_trials_that_can_carry_a_quantile_give_its_interval() -> None:
    estimate = p99([9.0, 9.5, 8.5], [2000, 2000, 2000], [1500.0, 1500.0, 1500.0])
    assert estimate.value == 9.0
    assert estimate.low is not None


@pytest.mark.parametrize(("load", "quantile"), [(0.5, 0.99), (0.8, 0.99), (0.8, 0.95), (0.9, 0.9)])
def test_a_quantile_of_a_queue_is_covered_or_has_no_interval(load: float, quantile: float) -> None:
    repeats, trials = 60, 5
    waits = _waits(np.random.default_rng(5), rows=repeats * trials, requests=2000, load=load, cv=0.8)
    truth = float(np.quantile(_waits(np.random.default_rng(6), rows=1500, requests=2000, load=load, cv=0.8), quantile))
    verdicts = []
    for rows in waits.reshape(repeats, trials, 2000):
        samples = QuantileSamples(
            values=np.quantile(rows, quantile, axis=1).tolist(),
            counts=[2000] * trials,
            effective=[effective_size(row, quantile=quantile) for row in rows],
        )
        estimate = quantile_over_trials(samples, name="q", quantile=quantile, pooled=lambda: 0.0)
        verdicts.append(estimate.low is None or estimate.high is None or estimate.low <= truth <= estimate.high)
    assert np.mean(verdicts) >= 0.85


def test_independent_values_are_worth_what_they_count() -> None:
    values = np.random.default_rng(1).exponential(size=5000)
    assert effective_size(values, quantile=0.95) == pytest.approx(5000, rel=0.1)


def test_values_that_come_in_runs_of_ten_are_worth_a_tenth() -> None:
    values = np.repeat(np.random.default_rng(1).exponential(size=2000), 10)
    assert effective_size(values, quantile=0.5) == pytest.approx(2000, rel=0.15)


def test_constant_values_are_worth_what_they_count() -> None:
    assert effective_size(np.ones(100), quantile=0.5) == 100.0


def test_the_interval_over_trials_covers_the_mean_of_a_queue() -> None:
    """M/G/1 at load 0.8, CV 0.8, five trials of 2,000: a nominal 95 % interval must cover at least 91 % of the time."""
    chance = np.random.default_rng(7)
    repeats, trials, requests, load, cv = 400, 5, 2000, 0.8, 0.8
    waits = _waits(chance, rows=repeats * trials, requests=requests, load=load, cv=cv)
    truth = load * (1 + cv**2) / (2 * (1 - load)) + 1.0
    means = waits.mean(axis=1).reshape(repeats, trials)
    estimates = [over_trials(row.tolist()) for row in means]
    covered = [e.low <= truth <= e.high for e in estimates if e.low is not None and e.high is not None]
    assert len(covered) == repeats
    assert np.mean(covered) >= 0.91


def _waits(chance: np.random.Generator, *, rows: int, requests: int, load: float, cv: float) -> np.ndarray:
    """Time in system of each request (mean service 1), started in the steady state by a warm-up that is cut off."""
    spread = np.sqrt(np.log1p(cv**2))
    wait, out = np.zeros(rows), np.empty((rows, requests))
    for index in range(-1000, requests):
        service = chance.lognormal(-(spread**2) / 2, spread, rows)
        if index >= 0:
            out[:, index] = wait + service
        wait = np.maximum(0.0, wait + service - chance.exponential(1 / load, rows))
    return out
