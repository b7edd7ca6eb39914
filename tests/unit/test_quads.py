"""Quads: what cancels in them, and the rates of right verdicts that were promised."""

import numpy as np
import pytest
from quad_samples import Machine, contest, sequential

from tokenforge.analysis.compare import Verdict
from tokenforge.analysis.quads import quads_of

SEEDS = range(20)
DIFFERENT = {Verdict.BETTER, Verdict.WORSE}


def test_a_steady_climb_cancels_in_a_quad() -> None:
    climb = [1.00, 1.01, 1.02, 1.03]  # A B B A
    (quad,) = quads_of({0: climb[0], 1: climb[3]}, {0: climb[1], 1: climb[2]}, positions={})
    assert quad.ratio == pytest.approx(1.0, abs=1e-4)


def test_the_order_is_told_by_when_trials_ran() -> None:
    positions = {("B", 2): 4, ("A", 2): 5, ("A", 3): 6, ("B", 3): 7}
    (quad,) = quads_of({2: 1.0, 3: 1.0}, {2: 2.0, 3: 8.0}, positions=positions)
    assert (quad.quad, quad.order) == (1, "BAAB")
    assert quad.ratio == pytest.approx(4.0)


def test_a_quad_that_misses_a_trial_is_left_out() -> None:
    a, b = {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0}, {0: 1.0, 1: 1.0, 2: 1.0}
    assert [quad.quad for quad in quads_of(a, b, positions={})] == [0]
    assert quads_of({0: 1.0, 1: 0.0}, {0: 1.0, 1: 1.0}, positions={}) == ()


def test_two_equal_engines_are_rarely_called_different() -> None:
    assert sum(contest(seed, factor=1.0).verdict in DIFFERENT for seed in SEEDS) <= 2


def test_an_engine_that_is_8_percent_slower_is_worse_and_its_interval_holds_8_percent() -> None:
    found = [contest(seed, factor=1.08) for seed in SEEDS]
    assert sum(one.verdict is Verdict.WORSE for one in found) >= 18
    assert sum(one.low <= 1.08 <= one.high for one in found if one.low is not None and one.high is not None) >= 18


@pytest.mark.parametrize("factor", [0.98, 1.02])
def test_two_percent_is_equivalent_within_five(factor: float) -> None:
    assert sum(contest(seed, factor=factor).verdict is Verdict.EQUIVALENT for seed in SEEDS) >= 16


def test_one_side_after_the_other_calls_equal_engines_different_where_quads_do_not() -> None:
    machine = Machine(climb=0.01, wander=0.01)
    apart = [sequential(seed, factor=1.0, trials=10, machine=machine).verdict in DIFFERENT for seed in SEEDS]
    quads = [contest(seed, factor=1.0, machine=machine).verdict in DIFFERENT for seed in SEEDS]
    assert np.mean(apart) > 0.9
    assert np.mean(quads) <= 0.1
