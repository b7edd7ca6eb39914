"""Blocks of neighbours drawn again: how far a share could be off."""

import numpy as np
import pytest

from tokenforge.analysis.bootstrap import share_interval


def test_independent_events_give_the_binomial_interval() -> None:
    events = np.random.default_rng(1).random(4000) < 0.3
    low, high = share_interval([events], worth=1.0) or (0.0, 0.0)
    assert high - low == pytest.approx(2 * 1.96 * (0.3 * 0.7 / 4000) ** 0.5, rel=0.1)
    assert low < events.mean() < high


def test_events_in_runs_of_ten_give_a_wider_interval() -> None:
    events = np.repeat(np.random.default_rng(2).random(400) < 0.3, 10)
    low, high = share_interval([events], worth=0.1) or (0.0, 0.0)
    assert high - low == pytest.approx(2 * 1.96 * (0.3 * 0.7 / 400) ** 0.5, rel=0.25)


def test_the_same_events_give_the_same_interval() -> None:
    events = np.random.default_rng(3).random(1000) < 0.1
    assert share_interval([events], worth=0.5) == share_interval([events], worth=0.5)


def test_few_blocks_give_no_interval() -> None:
    assert share_interval([np.arange(100) < 50], worth=0.1) is None


def test_blocks_of_two_trials_are_drawn_together() -> None:
    first, second = np.arange(500) < 500, np.arange(500) < 0
    low, high = share_interval([first, second], worth=0.1) or (0.0, 0.0)
    assert low < 0.5 < high
