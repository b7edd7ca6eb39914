"""The verdict of a comparison, from its record: right words, validity first, one metric decides."""

import re
from dataclasses import replace

import pytest
from comparison_samples import CLOSED, A, B, compared, verdict
from record_samples import Engine, Load, sample

from tokenforge.analysis.compare import Verdict
from tokenforge.analysis.figures import Validity
from tokenforge.analysis.head_to_head import ParityNote
from tokenforge.analysis.summary import summarise
from tokenforge.domain.parity import ParityVerdict


def times(factor: float) -> Engine:
    """B, each of whose steps takes so many times as long as A's."""
    return replace(B, step_ms=B.step_ms * factor, prefill_ms=B.prefill_ms * factor)


def test_a_slower_side_is_worse_and_the_sentence_says_by_how_much() -> None:
    found = verdict(*compared(b=times(1.1)))
    assert found.verdict is Verdict.WORSE
    assert re.match(r"b@1 is worse: (8|9)\.\d % lower output throughput than a@1, 95 % interval -", found.sentence)
    assert found.sentence.endswith("5 quads.")


def test_from_twice_on_it_says_how_many_times() -> None:
    sentence = verdict(*compared(b=times(0.4))).sentence
    assert re.match(r"b@1 is better: 2\.\d\d times the output throughput of a@1, 95 % interval 2\.\d\d to", sentence)


def test_a_faster_side_is_better_whichever_way_the_metric_points() -> None:
    for load in (CLOSED, Load(requests=100)):
        assert verdict(*compared(b=times(0.8), load=load)).verdict is Verdict.BETTER


def test_what_is_surely_within_the_margin_is_equivalent() -> None:
    found = verdict(*compared(delta=0.05))
    assert found.verdict is Verdict.EQUIVALENT
    assert "surely within 5 %" in found.sentence


def test_what_is_not_decided_says_how_many_quads_would_tell() -> None:
    noisy = replace(B, drift=0.1, cv=1.5)
    found = verdict(*compared(replace(A, drift=0.1, cv=1.5), noisy))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.primary.quads_needed is not None
    assert f"about {found.primary.quads_needed} quads would tell" in found.sentence


def test_the_metric_that_was_named_decides_and_the_others_are_beside_it() -> None:
    slow_start = replace(B, prefill_ms=20.0, step_ms=10.0)
    found = verdict(*compared(b=slow_start, load=Load(requests=80), metric="tpot_mean"))
    assert (found.primary.metric, found.verdict) == ("tpot_mean", Verdict.WORSE)
    assert [one.metric for one in found.secondary][:2] == ["e2e_mean", "ttft_mean"]
    assert found.secondary[1].verdict is Verdict.BETTER


def test_an_invalid_run_has_no_winner_and_says_why_first() -> None:
    summary = summarise(*compared(b=replace(B, error_share=0.3)))
    assert summary.head_to_head is not None
    assert summary.head_to_head.verdict is Verdict.INCONCLUSIVE
    assert summary.head_to_head.sentence == "No winner: the measurement is not valid."
    assert summary.verdict is Validity.INVALID
    assert "requests failed" in summary.head_to_head.validity_sentence


def test_sides_that_got_other_prompts_are_not_compared() -> None:
    document, requests = compared()
    document["runs"][1]["trials"][0]["plan_digest"] = "ff" * 32  # type: ignore[index]
    found = verdict(document, requests)
    assert found.validity is Validity.INVALID
    assert [one.code for one in found.reasons] == ["plans_differ"]


def test_a_load_that_both_keep_up_with_decides_nothing_about_throughput() -> None:
    found = verdict(*compared(load=Load(requests=80), metric="output_tokens_per_s"))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "the load set it" in found.sentence


def test_p99_decides_nothing_where_trials_are_too_small_for_it() -> None:
    found = verdict(*compared(load=Load(requests=80), metric="ttft_p99"))
    assert (found.verdict, found.primary.note) == (
        Verdict.INCONCLUSIVE,
        "p99 is not estimable from trials of this size",
    )


@pytest.mark.parametrize(("restart", "codes"), [("never", ["never_restarted"]), ("quad", [])])
def test_engines_that_were_never_restarted_are_named(restart: str, codes: list[str]) -> None:
    found = verdict(*compared(restart=restart))
    assert [one.code for one in found.reasons] == codes
    assert found.validity is Validity.VALID


def test_a_benchmark_without_a_comparison_has_no_verdict_of_one() -> None:
    assert summarise(*sample([A, B], [CLOSED])).head_to_head is None


def test_noise_says_what_so_many_quads_can_see() -> None:
    noise = verdict(*compared(quads=6)).primary.noise
    assert noise is not None
    assert 0 < noise.quad_cv < 0.05
    assert noise.sees > noise.quad_cv
    assert noise.unpaired_trials >= 2


SAID = "In 3 of 50 prompts b@1 says something else."


@pytest.mark.parametrize(
    ("factor", "parity", "expected"),
    [
        (0.8, ParityVerdict.PASS, Verdict.BETTER),
        (0.8, ParityVerdict.NOT_MEASURED, Verdict.BETTER),
        (0.8, ParityVerdict.FAIL, Verdict.INCONCLUSIVE),
        (1.1, ParityVerdict.FAIL, Verdict.WORSE),
    ],
)
def test_a_side_that_changed_the_output_cannot_win(factor: float, parity: ParityVerdict, expected: Verdict) -> None:
    document, requests = compared(b=times(factor))
    document["parity"] = {"verdict": parity.value, "sentence": SAID}
    found = verdict(document, requests)
    assert found.verdict is expected
    assert found.parity == ParityNote(verdict=parity, sentence=SAID)
    assert (found.sentence == f"No winner: the outputs differ. {SAID}") == (expected is Verdict.INCONCLUSIVE)
