"""Quantiles over trials: what is said when the data carry them, and what when they do not."""

import re

import numpy as np
import pytest

from tokenforge.analysis.intervals import Estimate, samples_needed
from tokenforge.analysis.quantiles import estimate_mean, estimate_quantile, read_samples
from tokenforge.analysis.requests import Floats


def trials(count: int, *, size: int, seed: int = 1) -> list[Floats]:
    """Independent waits."""
    return list(np.random.default_rng(seed).exponential(size=(count, size)))


def runs_of(length: int, values: list[Floats]) -> list[Floats]:
    """Each value so many times in a row: as many values, worth that much less."""
    return [np.repeat(one, length) for one in values]


def p99(values: list[Floats]) -> Estimate:
    return estimate_quantile(read_samples(values), name="p99", quantile=0.99)


def test_nothing_gives_nothing() -> None:
    assert p99([np.empty(0)]) == Estimate(value=None, note="no data")


def test_too_few_requests_say_how_many_more() -> None:
    assert p99([np.arange(60.0) % 2 for _ in range(5)]).note == "p99 not estimable (needs 159 more)"


def test_many_requests_that_are_worth_few_are_not_enough() -> None:
    estimate = p99(runs_of(20, trials(5, size=60)))
    assert estimate.value is None
    assert re.fullmatch(r"p99 not estimable \(needs [23],\d{3} more\)", estimate.note or "")


def test_trials_too_small_alone_give_a_value_without_interval() -> None:
    estimate = p99(trials(5, size=300))
    assert estimate.value is not None
    assert estimate.low is None
    assert estimate.note is not None
    assert estimate.note.startswith("no interval (needs 1")


def test_trials_that_carry_a_quantile_give_its_interval() -> None:
    values = trials(5, size=2000)
    together = np.concatenate(values)
    estimate = p99(values)
    assert estimate.value == pytest.approx(float(np.quantile(together, 0.99)))
    assert estimate.note is None
    assert (estimate.low or 0) < -np.log(0.01) < (estimate.high or 0)


def test_trials_that_differ_too_much_give_no_interval() -> None:
    values = [one * scale for one, scale in zip(trials(3, size=2000), (1.0, 1.0, 3.0), strict=True)]
    estimate = p99(values)
    assert estimate.value is not None
    assert (estimate.low, estimate.high) == (None, None)
    assert "more per trial" in (estimate.note or "")


def test_trials_of_other_speeds_widen_the_interval() -> None:
    alike, apart = trials(5, size=2000), [one * (1 + 0.1 * at) for at, one in enumerate(trials(5, size=2000))]
    widths = [(one.high or 0) / (one.low or 1) for one in map(median, (alike, apart))]
    assert widths[1] > 2 * widths[0] - 1


def median(values: list[Floats]) -> Estimate:
    return estimate_quantile(read_samples(values), name="p50", quantile=0.5)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert median([np.full(50, 7.0) for _ in range(5)]) == Estimate(value=7.0, low=7.0, high=7.0)


def test_an_empty_trial_is_left_out() -> None:
    values = trials(3, size=2000)
    assert median([*[one.copy() for one in values], np.empty(0)]) == median(values)


def test_one_long_trial_has_an_interval_that_says_what_it_leaves_out() -> None:
    estimate = p99(trials(1, size=5000))
    assert (estimate.low or 9) < -np.log(0.01) < (estimate.high or 0)
    assert estimate.note == "within 1 trial: how trials differ is not in it"


def test_one_trial_needs_ten_independent_values_above_the_quantile() -> None:
    estimate = p99([np.arange(1000.0) % 2])
    assert (estimate.value is None, estimate.low) == (False, None)
    assert estimate.note == f"no interval (needs {samples_needed(quantile=0.99, over=10) - 1000:,} more)"


def test_a_mean_in_one_trial_has_an_interval_by_what_its_requests_are_worth() -> None:
    values = runs_of(10, trials(1, size=1000))
    mean = float(values[0].mean())
    estimate = estimate_mean(read_samples(values), [mean], floor=0.0)
    assert estimate.value == pytest.approx(mean)
    assert (estimate.high or 0) - mean == pytest.approx(1.98 / 1000**0.5, rel=0.2)


def test_a_mean_of_little_worth_has_no_interval() -> None:
    values = runs_of(20, trials(1, size=40))
    assert estimate_mean(read_samples(values), [1.0], floor=0.0).note == "no interval (1 of 3 trials)"
