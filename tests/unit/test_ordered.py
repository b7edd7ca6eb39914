"""Sorted trials read as one sorted array."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.analysis.ordered import Ordered

FINITE = st.floats(-1e6, 1e6)


@given(st.lists(st.lists(FINITE, min_size=1, max_size=20), min_size=1, max_size=5), st.floats(0, 1))
def test_a_value_at_a_share_is_what_numpy_finds_in_all_of_them(trials: list[list[float]], share: float) -> None:
    ordered = Ordered(tuple(np.sort(np.array(trial)) for trial in trials))
    together = np.concatenate([np.array(trial) for trial in trials])
    assert ordered.at(share) == pytest.approx(float(np.quantile(together, share)), rel=1e-9, abs=1e-6)


def test_the_ends_are_the_least_and_the_greatest_value() -> None:
    ordered = Ordered((np.array([1.0, 5.0]), np.array([0.5, 2.0, 9.0])))
    assert (ordered.at(0.0), ordered.at(1.0), len(ordered)) == (0.5, 9.0, 5)


def test_a_share_beyond_the_ends_is_the_end() -> None:
    ordered = Ordered((np.array([1.0, 2.0]),))
    assert (ordered.at(-0.2), ordered.at(1.2)) == (1.0, 2.0)


def test_values_up_to_a_mark_are_counted_by_trial() -> None:
    ordered = Ordered((np.array([1.0, 2.0, 2.0]), np.array([3.0])))
    assert ordered.counts_to(2.0) == [3, 0]
