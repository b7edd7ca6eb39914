"""Teacher forcing by hand: each measure against a value worked out on paper; and what number formats allow."""

import math

import pytest
from parity_samples import VOCAB, a_row

from tokenforge.analysis import parity_noise as noise
from tokenforge.analysis.parity_scores import lead_over, mean_abs_dlogprob, spread, teacher_forced
from tokenforge.domain.generation import TokenLogprob
from tokenforge.domain.parity import TeacherForced


def forced(ours: TokenLogprob, theirs: TokenLogprob, *, clear_nats: float = 0.0) -> TeacherForced:
    found = teacher_forced([(ours,)], [(theirs,)], vocab_size=VOCAB, clear_nats=clear_nats)
    assert found is not None
    return found


def test_equal_scores_differ_in_nothing() -> None:
    found = forced(a_row(1), a_row(1))
    assert (found.top1_agreement, found.mean_abs_dlogprob, found.kl_nats) == (1.0, 0.0, 0.0)


def test_the_divergence_is_that_of_the_named_tokens_and_the_tail() -> None:
    theirs = a_row(1, first=0.5, others=((901, 0.3), (902, 0.1)))
    by_hand = 0.6 * math.log(0.6 / 0.5) + 0.2 * math.log(0.2 / 0.3)
    assert forced(a_row(1), theirs).kl_nats == pytest.approx(by_hand)


def test_tokens_that_only_one_list_has_are_in_the_tail() -> None:
    theirs = a_row(1, first=0.6, others=((903, 0.3),))
    assert forced(a_row(1), theirs).kl_nats == pytest.approx(0.0, abs=1e-12)


def test_the_share_is_of_the_divergence_from_knowing_nothing() -> None:
    ours, theirs = a_row(1), a_row(1, first=0.5, others=((901, 0.3), (902, 0.1)))
    from_chance = sum(p * math.log(p * VOCAB) for p in (0.6, 0.2, 0.1)) + 0.1 * math.log(0.1 * VOCAB / (VOCAB - 3))
    found = forced(ours, theirs)
    assert found.kl_share == pytest.approx(found.kl_nats / from_chance)


def test_the_spread_is_the_first_choice_over_chance() -> None:
    assert spread([(a_row(1),)], vocab_size=VOCAB) == pytest.approx(math.log(0.6 * VOCAB))
    assert spread([()], vocab_size=VOCAB) is None


def test_the_difference_is_of_the_given_tokens() -> None:
    assert mean_abs_dlogprob([(a_row(1, first=0.6),)], [(a_row(1, first=0.3),)]) == pytest.approx(math.log(2))


def test_another_choice_is_clear_only_beyond_the_tie() -> None:
    theirs = a_row(901, first=0.6, others=((1, 0.2),))
    lead = math.log(0.6 / 0.2)
    assert forced(a_row(1), theirs, clear_nats=lead - 0.01).clear_disagreement == 1.0
    assert forced(a_row(1), theirs, clear_nats=lead + 0.01).clear_disagreement == 0.0


def test_a_choice_beyond_the_alternatives_is_always_clear() -> None:
    assert lead_over(a_row(1), 777) == math.inf
    assert forced(a_row(1), a_row(777), clear_nats=100.0).clear_disagreement == 1.0


def test_places_without_alternatives_are_left_out() -> None:
    bare = TokenLogprob(token_id=1, logprob=-1.0)
    assert teacher_forced([(bare,)], [(bare,)], vocab_size=VOCAB, clear_nats=0.0) is None


@pytest.mark.parametrize(
    ("first", "second", "coarser"),
    [
        ("float32", "float32", "float32"),
        ("float32", "bfloat16", "bfloat16"),
        ("torch.float16", "fp32", "float16"),
        ("float32", None, "bfloat16"),
        ("float32", "int4", "bfloat16"),
    ],
)
def test_the_coarser_format_is_allowed_for(first: str, second: str | None, coarser: str) -> None:
    assert noise.coarser_format(first, second) == coarser


def test_the_allowance_is_the_floor_and_two_and_a_half_roundings_of_the_spread() -> None:
    floor = forced(a_row(1), a_row(1, first=0.599, others=((901, 0.201), (902, 0.1))))
    allowed = noise.allowance("bfloat16", floor)
    assert allowed.mean_abs_dlogprob == pytest.approx(floor.mean_abs_dlogprob + 2.5 / 256 * floor.spread_nats)
    assert allowed.kl_share == pytest.approx(floor.kl_share + 10 * (2.5 / 256) ** 2)


def test_float32_is_allowed_a_ten_thousandth_not_its_roundoff() -> None:
    assert noise.allowance("float32", forced(a_row(1), a_row(1))).mean_abs_dlogprob == pytest.approx(
        1e-4 * math.log(0.6 * VOCAB)
    )


def test_answers_may_part_at_leads_of_four_allowed_differences_and_choices_are_clear_from_two() -> None:
    found = noise.leads("bfloat16", spread_nats=2.0, floor_nats=0.01)
    unit = 2.5 / 256 * 2.0 + 3 * 0.01
    assert [found.clear_nats, found.tie_nats] == pytest.approx([2 * unit, 4 * unit])
