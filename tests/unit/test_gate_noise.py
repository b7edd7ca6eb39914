"""Noise between runs and between trials: told apart, and said where it can't be."""

import numpy as np
import pytest
from scipy.stats import ttest_ind

from tokenforge.analysis.gate_noise import contrast, read_spread
from tokenforge.analysis.requests import Floats


def runs(count: int, *, between: float, within: float, trials: int = 5, seed: int = 0) -> Floats:
    chance = np.random.default_rng(seed)
    return np.asarray(chance.normal(0, between, (count, 1)) + chance.normal(0, within, (count, trials)))


def test_both_sorts_of_noise_are_told_apart() -> None:
    spread = read_spread(runs(200, between=0.04, within=0.02), runs(1, between=0.04, within=0.02), assumed_between=0.5)
    assert spread is not None
    assert spread.within == pytest.approx(0.02, rel=0.1)
    assert spread.between == pytest.approx(0.04, rel=0.15)
    assert not spread.assumed


def test_what_a_plan_does_to_all_runs_is_no_noise() -> None:
    plans = np.array([0.0, 1.0, -2.0, 0.5, 0.1])
    noisy = contrast(runs(5, between=0.02, within=0.01) + plans, runs(1, between=0, within=0.01, seed=9) + plans)
    plain = contrast(runs(5, between=0.02, within=0.01), runs(1, between=0, within=0.01, seed=9))
    assert noisy is not None
    assert plain is not None
    assert (noisy.difference, noisy.error) == pytest.approx((plain.difference, plain.error))


def test_with_enough_runs_it_is_the_t_test_of_run_means() -> None:
    history, candidate = runs(6, between=0.05, within=0.01), runs(3, between=0.05, within=0.01, seed=4)
    found = contrast(history, candidate)
    expected = ttest_ind(candidate.mean(axis=1), history.mean(axis=1), alternative="greater")
    assert found is not None
    assert found.chance_of_more(0.0) == pytest.approx(float(expected.pvalue))


def test_one_earlier_run_takes_the_assumed_spread_and_says_so() -> None:
    found = contrast(np.zeros((1, 5)), np.full((1, 5), 0.05), assumed_between=0.03)
    assert found is not None
    assert found.spread.assumed
    assert found.error == pytest.approx(0.03 * 2**0.5)


def test_two_earlier_runs_further_apart_than_assumed_are_believed() -> None:
    history = np.array([[0.0] * 5, [0.3] * 5])
    found = contrast(history, np.zeros((1, 5)), assumed_between=0.03)
    assert found is not None
    assert found.spread.between == pytest.approx(0.3 / 2**0.5)


def test_one_trial_and_one_earlier_run_say_nothing() -> None:
    assert contrast(np.zeros((1, 1)), np.ones((1, 1))) is None


def test_runs_closer_than_their_trials_allow_are_not_taken_for_exact() -> None:
    rows = np.tile([-0.1, 0.1, 0.0, 0.05, -0.05], (4, 1)) * np.array([[1], [-1], [1], [-1]])
    found = contrast(rows, rows[:1])
    assert found is not None
    assert found.spread.run == pytest.approx(found.spread.within / 5**0.5)
