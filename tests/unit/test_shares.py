"""Shares within the SLO, with intervals that are never a point."""

import numpy as np
import pytest

from tokenforge.analysis.requests import Bools
from tokenforge.analysis.shares import estimate_share


def trials(*good: int, of: int = 100) -> list[Bools]:
    """So many good requests in each trial, spread evenly."""
    return [np.arange(of) * one % of < one for one in good]


def test_trials_that_were_all_good_are_not_beyond_doubt() -> None:
    estimate = estimate_share(trials(100, 100, 100), worth=1.0)
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert estimate.low == pytest.approx(1 - 3.84 / 303.84, abs=1e-4)


def test_requests_that_depend_on_each_other_are_worth_less() -> None:
    free, bound = (estimate_share(trials(100, 100, 100), worth=worth) for worth in (1.0, 0.1))
    assert (bound.low or 1) < (free.low or 0)


def test_trials_that_differ_decide_the_interval() -> None:
    estimate = estimate_share(trials(60, 90, 75), worth=1.0)
    assert estimate.value == pytest.approx(0.75)
    assert (estimate.high or 0) - 0.75 > 0.2


def test_one_trial_says_what_its_interval_leaves_out() -> None:
    estimate = estimate_share(trials(90), worth=1.0)
    assert (estimate.low or 1) < 0.9 < (estimate.high or 0)
    assert estimate.note == "within 1 trial: how trials differ is not in it"


def test_no_request_is_no_share() -> None:
    assert estimate_share([np.empty(0, np.bool_)], worth=1.0).value is None
