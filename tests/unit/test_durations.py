"""How long pauses are."""

import numpy as np
import pytest

from tokenforge.bench.durations import Nanoseconds, draw_durations_ns
from tokenforge.domain.durations import (
    Duration,
    ExponentialSeconds,
    FixedSeconds,
    HistogramSeconds,
    LogNormalSeconds,
    NormalSeconds,
    UniformSeconds,
)


def draw(duration: Duration, *, seed: int = 1, purpose: str = "think") -> Nanoseconds:
    return draw_durations_ns(duration, 20_000, seed=seed, purpose=purpose)


def test_a_number_is_itself_to_the_nanosecond() -> None:
    assert set(draw(FixedSeconds(value=0.123456789)).tolist()) == {123_456_789}


@pytest.mark.parametrize(
    ("duration", "mean_s", "std_s"),
    [
        (UniformSeconds(low=1, high=3), 2, 1 / np.sqrt(3)),
        (ExponentialSeconds(mean=2), 2, 2),
        (NormalSeconds(mean=5, std=0.5), 5, 0.5),
        (LogNormalSeconds(mean=2, cv=0.5), 2, 1),
        (HistogramSeconds(values=(1, 3), weights=(1, 1)), 2, 1),
    ],
)
def test_a_distribution_has_the_asked_mean_and_spread(duration: Duration, mean_s: float, std_s: float) -> None:
    drawn = draw(duration) / 1e9
    assert (drawn.mean(), drawn.std()) == (pytest.approx(mean_s, rel=0.03), pytest.approx(std_s, rel=0.05))


@pytest.mark.parametrize(
    "duration", [ExponentialSeconds(mean=2, low=1, high=3), NormalSeconds(mean=0, std=9, low=1, high=3)]
)
def test_bounds_hold(duration: Duration) -> None:
    drawn = draw(duration) / 1e9
    assert drawn.min() >= 1
    assert drawn.max() <= 3


def test_each_purpose_and_seed_has_a_stream_of_its_own() -> None:
    once, again, other, later = (
        draw(ExponentialSeconds(mean=1), seed=seed, purpose=purpose).tolist()
        for seed, purpose in ((1, "think"), (1, "think"), (1, "cancel"), (2, "think"))
    )
    assert once == again
    assert once != other != later != once
