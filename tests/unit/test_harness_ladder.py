"""The load generator harness: which rates are tried, and which count as held."""

import pytest
from harness_samples import some_errors, some_trial

from harness.ladder import Ladder, tidy
from harness.trial import Trial, is_held


def climb(limit: float, *, first_rate: float = 100, steps: int = 20) -> tuple[Ladder, list[float]]:
    """The ladder of a client that holds up to `limit`, and what it tried."""
    ladder, tried = Ladder(first_rate=first_rate, steps=steps), []
    while (rate := ladder.next_rate()) is not None:
        tried.append(rate)
        ladder.note(rate, is_held=rate <= limit)
    return ladder, tried


@pytest.mark.parametrize("limit", [3.0, 40.0, 99.0, 130.0, 700.0, 5000.0])
def test_a_ladder_ends_within_a_tenth_below_the_limit(limit: float) -> None:
    ladder, _ = climb(limit)
    assert limit / 1.15 <= ladder.held <= limit


def test_a_rate_is_tried_twice_before_it_counts_as_missed() -> None:
    ladder = Ladder(first_rate=100, steps=9)
    ladder.note(100, is_held=False)
    assert (ladder.next_rate(), ladder.missed) == (100, 0)
    ladder.note(100, is_held=False)
    assert (ladder.next_rate(), ladder.missed) == (50, 100)


def test_a_rate_missed_once_by_noise_is_held() -> None:
    ladder = Ladder(first_rate=100, steps=9)
    ladder.note(100, is_held=False)
    ladder.note(100, is_held=True)
    assert (ladder.held, ladder.next_rate()) == (100, 150)


def test_the_steps_are_never_more_than_allowed() -> None:
    assert len(climb(1e9, steps=4)[1]) == 4
    assert Ladder(first_rate=100, steps=0).next_rate() is None


def test_a_client_that_holds_nothing_ends_at_none() -> None:
    ladder, tried = climb(0.0)
    assert (ladder.held, min(tried)) == (0, 1.5)


def test_rates_are_round_numbers() -> None:
    assert [tidy(rate) for rate in (337.5, 1518.75, 12.34, 5.0)] == [340, 1500, 12, 5]


@pytest.mark.parametrize(
    ("trial", "held"),
    [
        (some_trial(), True),
        (some_trial(arrived_rate=93), True),
        (some_trial(arrived_rate=91), False),
        (some_trial(failed=1), False),
        (some_trial(completed=980), False),
        (some_trial(errors=some_errors(ttft_p99_ms=1.1)), False),
        (some_trial(errors=some_errors(gap_p99_ms=1.1)), False),
        (some_trial(errors=some_errors(late_p99_ms=1.1)), False),
        (some_trial(errors=some_errors(late_p99_ms=None)), True),
        (Trial(client="a", load=some_trial().load, failure="exit code 1"), False),
    ],
)
def test_a_rate_is_held_when_all_is_complete_and_within_the_bound(trial: Trial, held: bool) -> None:
    assert is_held(trial, bound_ms=1.0) is held
