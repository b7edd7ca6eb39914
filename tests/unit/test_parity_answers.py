"""Where two answers part, and whether a near-tie explains it."""

import math

import pytest
from parity_samples import a_row, an_answer, rows_of

from tokenforge.analysis.parity_answers import (
    Judges,
    endings,
    finish_excess,
    first_difference,
    free_running,
    length_excess,
)
from tokenforge.domain.generation import TokenLogprob


@pytest.mark.parametrize(
    ("ours", "theirs", "place"),
    [
        ([1, 2, 3], [1, 2, 3], None),
        ([1, 2, 3], [9, 2, 3], 0),
        ([1, 2, 3], [1, 2, 4], 2),
        ([1, 2, 3], [1, 2, 3, 4], 3),
        ([1, 2, 3], [], 0),
    ],
)
def test_the_first_difference_is_found(ours: list[int], theirs: list[int], place: int | None) -> None:
    assert first_difference(an_answer(ours), an_answer(theirs)) == place


def test_an_end_token_that_one_side_leaves_out_is_no_difference() -> None:
    ours, theirs = an_answer([1, 2, 0], finish="stop"), an_answer([1, 2], finish="stop")
    assert first_difference(ours, theirs) is None
    assert first_difference(an_answer([1, 2, 0], finish="length"), theirs) == 2


def test_texts_are_compared_by_character() -> None:
    assert first_difference(an_answer(None, text="abc"), an_answer([1], text="abd")) == 2


def test_a_near_tie_is_benign_and_a_clear_choice_is_hard() -> None:
    ours = [an_answer([1, 2])]
    near = ((a_row(1), TokenLogprob(token_id=2, logprob=-1.0, top=((2, -1.0), (901, -1.01)))),)
    judges = Judges(reference=near, candidate=None, tie_nats=0.02)
    close = free_running(ours, [an_answer([1, 901])], judges)
    clear = free_running(ours, [an_answer([901, 2])], judges)
    assert (close.benign, close.hard, close.first_divergence) == (1, 0, 1.0)
    assert (clear.benign, clear.hard) == (0, 1)


def test_a_token_beyond_the_alternatives_is_hard_however_wide_the_ties() -> None:
    ours = [an_answer([1, 2])]
    judges = Judges(reference=rows_of(ours), candidate=None, tie_nats=100.0)
    assert free_running(ours, [an_answer([1, 777])], judges).hard == 1


def test_an_answer_that_ends_elsewhere_is_hard() -> None:
    ours = [an_answer([1, 2, 3], finish="stop")]
    judges = Judges(reference=rows_of(ours), candidate=None, tie_nats=100.0)
    assert free_running(ours, [an_answer([1], finish="stop")], judges).hard == 1


def test_rates_are_of_all_answers() -> None:
    ours = [an_answer([1, 2])] * 4
    judges = Judges(reference=rows_of(ours), candidate=None, tie_nats=0.0)
    found = free_running(ours, [*ours[:3], an_answer([5, 2])], judges)
    assert (found.exact_rate, found.hard_rate) == (0.75, 0.25)


def test_a_constant_difference_of_lengths_is_sure() -> None:
    ours, theirs = [an_answer(range(10))] * 6, [an_answer(range(12))] * 6
    assert length_excess(ours, theirs) == pytest.approx(0.2)


def test_a_difference_of_lengths_that_varies_is_cut_to_what_is_sure() -> None:
    ours = [an_answer(range(10))] * 4
    theirs = [an_answer(range(length)) for length in (8, 14, 8, 14)]
    half = 3.182446 * math.sqrt(12) / 2
    assert length_excess(ours, theirs) == pytest.approx(max(0.0, 1 - half) / 10, abs=1e-6)


def test_finish_reasons_are_told_in_shares() -> None:
    ours = [an_answer([1], finish="stop"), an_answer([1], finish="length")]
    found = endings(ours, [an_answer([1], finish="stop")] * 2)
    assert found.reference_finish == {"length": 0.5, "stop": 0.5}
    assert found.candidate_finish == {"stop": 1.0}


def test_endings_that_all_change_are_found() -> None:
    ours, theirs = [an_answer([1], finish="stop")] * 5, [an_answer([1], finish="length")] * 5
    assert finish_excess(ours, theirs) == 1.0
    assert finish_excess(ours, ours) == 0.0
