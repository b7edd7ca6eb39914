"""Intervals and the rule for quantiles, against published values."""

import pytest

from tokenforge.analysis.intervals import (
    over_trials,
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
