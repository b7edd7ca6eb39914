"""How long prompts and outputs are."""

import numpy as np
import pytest

from tokenforge.bench.lengths import Tokens, draw_lengths
from tokenforge.domain.workload import Fixed, Histogram, Length, LogNormal, Normal, Uniform


def draw(length: Length, *, seed: int = 1, purpose: str = "prompt") -> Tokens:
    return draw_lengths(length, 20_000, seed=seed, purpose=purpose)


def test_fixed_is_always_the_same() -> None:
    assert set(draw(Fixed(value=7)).tolist()) == {7}


def test_uniform_reaches_both_ends() -> None:
    assert set(draw(Uniform(low=3, high=6)).tolist()) == {3, 4, 5, 6}


def test_normal_has_the_asked_mean_and_spread() -> None:
    drawn = draw(Normal(mean=200, std=20))
    assert (drawn.mean(), drawn.std()) == (pytest.approx(200, rel=0.01), pytest.approx(20, rel=0.05))


def test_lognormal_mean_and_cv_are_those_of_the_tokens() -> None:
    drawn = draw(LogNormal(mean=300, cv=0.5))
    assert (drawn.mean(), drawn.std() / drawn.mean()) == (pytest.approx(300, rel=0.02), pytest.approx(0.5, rel=0.05))


@pytest.mark.parametrize("length", [Normal(mean=5, std=50, low=2, high=9), LogNormal(mean=5, cv=3, low=2, high=9)])
def test_bounds_hold(length: Length) -> None:
    drawn = draw(length)
    assert (drawn.min(), drawn.max()) == (2, 9)


def test_bounds_far_from_the_mean_end_in_the_nearest_bound() -> None:
    assert set(draw(Normal(mean=5, std=0.1, low=100, high=200)).tolist()) == {100}


def test_a_histogram_draws_by_weight() -> None:
    drawn = draw(Histogram(values=(10, 20), weights=(1, 3)))
    assert np.mean(drawn == 20) == pytest.approx(0.75, abs=0.02)


def test_prompt_and_output_have_streams_of_their_own() -> None:
    length = Uniform(low=1, high=1000)
    assert draw(length).tolist() != draw(length, purpose="output").tolist()
