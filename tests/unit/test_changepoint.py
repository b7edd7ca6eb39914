"""The last change of a history: found where it is, rarely found where there is none."""

import numpy as np
import pytest

from tokenforge.analysis.changepoint import last_change
from tokenforge.analysis.requests import Floats


def history(seed: int, *levels: tuple[int, float]) -> Floats:
    """Runs with a noise of 2 %: so many at each level."""
    chance = np.random.default_rng(seed)
    return np.concatenate([chance.normal(level, 0.02, count) for count, level in levels])[None]


@pytest.mark.parametrize("count", [4, 5, 10, 30])
def test_a_steady_history_is_cut_in_at_most_5_percent(count: int) -> None:
    cuts = [last_change(history(seed, (count, 0.0))) for seed in range(400)]
    assert sum(cut is not None for cut in cuts) <= 20


@pytest.mark.parametrize(("before", "after"), [(5, 5), (8, 3), (10, 2), (5, 20)])
def test_a_step_of_10_percent_is_found_at_its_place(before: int, after: int) -> None:
    cuts = [last_change(history(seed, (before, 0.0), (after, -0.1))) for seed in range(100)]
    assert sum(cut is not None and cut.start == before for cut in cuts) >= 85


def test_a_level_that_left_and_came_back_is_cut_at_its_return() -> None:
    cut = last_change(history(1, (6, 0.0), (6, -0.1), (6, 0.0)))
    assert cut is not None
    assert cut.start == 12
    assert cut.step == pytest.approx(0.1, abs=0.02)


def test_a_change_in_one_of_several_metrics_cuts_and_is_named() -> None:
    rows = np.concatenate((history(1, (10, 0.0)), history(2, (5, 0.0), (5, 0.2))))
    cut = last_change(rows)
    assert cut is not None
    assert (cut.row, cut.start) == (1, 5)


def test_runs_that_are_all_equal_have_no_change() -> None:
    assert last_change(np.zeros((2, 12))) is None


def test_fewer_than_four_runs_have_no_change() -> None:
    assert last_change(np.array([[0.0, 5.0, 9.0]])) is None
