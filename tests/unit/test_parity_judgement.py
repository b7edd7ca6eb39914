"""The judgement: what is compared when little is known, when nothing can be said, and the words of the result."""

import dataclasses
import json

import pytest
from parity_samples import a_recording, a_reference, an_answer, rows_of

from tokenforge.analysis.parity import judge_parity
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.parity import ParityResult, ParityVerdict, not_measured

SAME = [an_answer([1, 2, 3, 4]) for _ in range(8)]
OTHER = [*SAME[1:], an_answer([1, 2, 500, 4])]


def test_equal_answers_pass_without_any_score() -> None:
    result = judge_parity(a_reference(SAME, scored=False), a_recording(SAME, unscored="it cannot"))
    assert result.verdict is ParityVerdict.PASS
    assert "ours was compared by its answers alone: it cannot." in result.notes


def test_different_answers_without_any_score_are_not_judged() -> None:
    result = judge_parity(a_reference(SAME, scored=False), a_recording(OTHER))
    assert result.verdict is ParityVerdict.NOT_MEASURED
    assert [reason.code for reason in result.reasons] == ["differences_unjudged"]
    assert result.can_win


def test_texts_are_compared_where_there_are_no_ids() -> None:
    texts = [an_answer(None, text="one two") for _ in range(4)]
    result = judge_parity(a_reference(texts, scored=False), a_recording(texts))
    assert result.verdict is ParityVerdict.PASS
    assert any("texts were compared" in note for note in result.notes)


def test_the_references_scores_judge_a_candidate_that_cannot_score() -> None:
    result = judge_parity(a_reference(SAME), a_recording([an_answer([1, 2, 500, 4])] * 8, unscored="it cannot"))
    assert [reason.code for reason in result.reasons] == ["answers_differ"]
    assert (result.forced, result.free.hard if result.free else None) == (None, 8)


@pytest.mark.parametrize("scored", [[1, 2, 3, 4], [1, 2, 500, 4]], ids=["against its own answer", "with it"])
def test_the_candidates_scores_judge_a_reference_that_cannot_score(scored: list[int]) -> None:
    others = [an_answer([1, 2, 500, 4])] * 8
    scores = rows_of([an_answer(scored)] * 8)
    result = judge_parity(a_reference(SAME, scored=False), a_recording(others, scores=scores))
    assert [reason.code for reason in result.reasons] == ["answers_differ"]


def test_one_hard_difference_in_sixteen_is_let_pass_and_two_are_not() -> None:
    many = [an_answer([1, 2, 3, 4]) for _ in range(16)]
    hard = an_answer([1, 2, 500, 4])
    one = judge_parity(a_reference(many), a_recording([hard, *many[1:]], scores=rows_of(many)))
    two = judge_parity(a_reference(many), a_recording([hard, hard, *many[2:]], scores=rows_of(many)))
    assert (one.verdict, two.verdict) == (ParityVerdict.PASS, ParityVerdict.FAIL)


def test_a_reference_that_contradicts_itself_judges_nobody() -> None:
    again = a_recording([an_answer([500 + number, 2, 3, 4]) for number in range(8)], scores=rows_of(SAME))
    result = judge_parity(a_reference(SAME, again=again), a_recording(SAME, scores=rows_of(SAME)))
    assert result.verdict is ParityVerdict.NOT_MEASURED
    assert [reason.code for reason in result.reasons] == ["reference_unsteady"]


def test_no_prompt_is_not_measured() -> None:
    assert judge_parity(a_reference([]), a_recording([])).verdict is ParityVerdict.NOT_MEASURED


def test_a_format_that_is_not_told_counts_as_bfloat16_and_is_noted() -> None:
    result = judge_parity(a_reference(SAME), a_recording(SAME, scores=rows_of(SAME), number_format=None))
    assert result.number_format == "bfloat16"
    assert any("does not say its number format" in note for note in result.notes)


def test_answers_that_never_end_leave_the_end_token_unseen() -> None:
    assert any("wrong end token" in note for note in judge_parity(a_reference(SAME), a_recording(SAME)).notes)
    ended = [an_answer([1, 2], finish="stop")] * 8
    assert not any("wrong end token" in note for note in judge_parity(a_reference(ended), a_recording(ended)).notes)


def test_two_of_one_name_are_told_apart() -> None:
    result = judge_parity(a_reference(SAME), a_recording(SAME, runtime="reference", scores=rows_of(SAME)))
    assert result.sentence.startswith("reference (B) says the same as reference (A): 8 of 8 answers are equal")
    assert (result.reference, result.candidate) == ("reference", "reference")


@pytest.mark.parametrize("shift", [-6, 6])
def test_lengths_beyond_a_tenth_fail(shift: int) -> None:
    ours = [an_answer(range(20), finish="stop") for _ in range(8)]
    theirs = [an_answer(range(20 + shift), finish="stop") for _ in range(8)]
    result = judge_parity(a_reference(ours), a_recording(theirs, scores=rows_of(ours)))
    assert "lengths_differ" in {reason.code for reason in result.reasons}


def test_lengths_that_differ_by_chance_do_not_fail() -> None:
    lengths = [(5, 30), (30, 5), (9, 20), (22, 8), (12, 13), (14, 12), (7, 28), (25, 6)]
    ours = [an_answer([1, *range(2, a)], finish="stop") for a, _ in lengths]
    theirs = [an_answer([901, *range(2, b)], finish="stop") for _, b in lengths]
    result = judge_parity(a_reference(ours), a_recording(theirs, scores=rows_of(ours)))
    assert "lengths_differ" not in {reason.code for reason in result.reasons}


def test_every_reason_tells_its_number_and_its_limit() -> None:
    result = judge_parity(a_reference(SAME), a_recording([an_answer([7, 8], finish="stop")] * 8))
    assert {reason.code for reason in result.reasons} == {"answers_differ", "lengths_differ", "endings_differ"}
    assert all(reason.value is not None and reason.limit is not None for reason in result.reasons)
    assert all(reason.value > reason.limit for reason in result.reasons if reason.value and reason.limit)


def test_a_result_is_plain_json() -> None:
    result = judge_parity(a_reference(SAME), a_recording(SAME, scores=rows_of(SAME)))
    document = json.loads(json.dumps(to_plain(result), allow_nan=False))
    assert document["verdict"] == "PASS"
    assert set(document) == {field.name for field in dataclasses.fields(ParityResult)}


def test_what_was_not_measured_says_why_in_one_sentence() -> None:
    result = not_measured(model="m", reference="a", candidate="b", code="target_unreachable", why="nothing answers")
    assert result.sentence == "Whether b says the same as a was not measured: nothing answers."
    assert result.can_win
