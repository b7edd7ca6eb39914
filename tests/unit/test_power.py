"""How many trials a difference takes."""

import numpy as np
import pytest

from tokenforge.analysis.compare import Verdict, compare_ratios
from tokenforge.analysis.power import pairs_needed, pairs_to_decide, smallest_effect, trials_per_arm


@pytest.mark.parametrize(
    ("cv", "effect", "trials"),
    [
        (0.01, 0.05, 3),
        (0.01, 0.02, 6),
        (0.02, 0.05, 4),
        (0.02, 0.02, 17),
        (0.05, 0.05, 17),
        (0.05, 0.02, 100),
        (0.10, 0.05, 64),
    ],
)
def test_trials_per_arm_are_those_of_the_exact_power_of_the_t_test(cv: float, effect: float, trials: int) -> None:
    assert trials_per_arm(cv=cv, effect=effect) == trials


def test_pairs_grow_with_the_noise_and_never_fall_below_what_an_interval_needs() -> None:
    counts = [pairs_needed(spread=spread, effect=0.05) for spread in (0.0, 0.01, 0.02, 0.05, 0.1)]
    assert counts == sorted(counts)
    assert counts[:2] == [3, 3]


@pytest.mark.parametrize(("spread", "effect"), [(0.02, 0.03), (0.05, 0.05), (0.03, 0.02)])
def test_that_many_pairs_see_the_effect_four_times_in_five(spread: float, effect: float) -> None:
    count = pairs_needed(spread=spread, effect=effect)
    ratios = np.exp(np.random.default_rng(1).normal(effect, spread, (400, count)))
    low = [one for row in ratios if (one := compare_ratios(row.tolist(), higher_is_better=True).low) is not None]
    assert np.mean(np.array(low) > 1) == pytest.approx(0.8, abs=0.06)


@pytest.mark.parametrize(("mean", "spread"), [(0.0, 0.05), (0.01, 0.03), (0.03, 0.03), (0.1, 0.1)])
def test_pairs_to_decide_decide_four_times_in_five(mean: float, spread: float) -> None:
    count = pairs_to_decide(mean=mean, spread=spread, margin=float(np.log1p(0.05)))
    ratios = np.exp(np.random.default_rng(2).normal(mean, spread, (400, count)))
    verdicts = [compare_ratios(row.tolist(), higher_is_better=True).verdict for row in ratios]
    assert np.mean([one is not Verdict.INCONCLUSIVE for one in verdicts]) >= 0.76


def test_a_difference_on_the_margin_takes_what_it_takes_to_see_it() -> None:
    margin = float(np.log1p(0.05))
    assert pairs_to_decide(mean=margin, spread=0.03, margin=margin) == pairs_needed(spread=0.03, effect=margin)


def test_the_smallest_effect_is_the_one_that_so_many_pairs_are_needed_for() -> None:
    effect = smallest_effect(spread=0.02, pairs=12)
    assert pairs_needed(spread=0.02, effect=effect * 1.01) == 12
    assert pairs_needed(spread=0.02, effect=effect * 0.97) > 12


def test_no_noise_at_all_sees_any_difference() -> None:
    assert smallest_effect(spread=0.0, pairs=3) < 1e-6
