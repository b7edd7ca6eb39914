"""What parity must find and what it must let pass, on a small Llama whose faults are planted one at a time."""

from dataclasses import replace

import pytest
from twin_llama import Twin, some_prompts

from tokenforge.analysis.parity import judge_parity
from tokenforge.domain.parity import ParityResult, ParityVerdict, Reference

PROMPTS = some_prompts(12, length=24)
TOKENS = 20


@pytest.fixture(scope="module")
def exact() -> Reference:
    return Twin().reference(PROMPTS, tokens=TOKENS)


@pytest.fixture(scope="module")
def coarse() -> Reference:
    return Twin(number_format="bfloat16").reference(PROMPTS, tokens=TOKENS)


def judge(reference: Reference, candidate: Twin) -> ParityResult:
    return judge_parity(reference, candidate.record(PROMPTS, reference, tokens=TOKENS))


def codes(result: ParityResult) -> set[str]:
    return {reason.code for reason in result.reasons}


def test_the_same_model_in_float32_is_equal_to_the_last_token(exact: Reference) -> None:
    result = judge(exact, Twin())
    assert result.verdict is ParityVerdict.PASS
    assert result.free is not None
    assert result.free.exact_rate == 1.0
    assert result.forced is not None
    assert result.forced.top1_agreement == 1.0


@pytest.mark.parametrize("number_format", ["bfloat16", "float16"])
def test_a_coarser_number_format_passes_though_answers_part(exact: Reference, number_format: str) -> None:
    result = judge(exact, Twin(number_format=number_format))
    assert result.verdict is ParityVerdict.PASS
    assert result.free is not None
    assert (result.free.hard, result.number_format) == (0, number_format)
    assert result.free.exact < len(PROMPTS)


def test_float32_passes_against_a_reference_in_bfloat16(coarse: Reference) -> None:
    assert judge(coarse, Twin()).verdict is ParityVerdict.PASS


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"theta": 500_000.0}, id="another RoPE theta"),
        pytest.param({"theta": 20_000.0}, id="a RoPE theta of twice the size"),
        pytest.param({"weight_bits": 4}, id="weights of 4 bits"),
        pytest.param({"decode_shift": 1}, id="generated tokens one position late"),
        pytest.param({"decode_shift": -1}, id="generated tokens one position early"),
    ],
)
@pytest.mark.parametrize("number_format", ["float32", "bfloat16"])
def test_a_planted_fault_fails(exact: Reference, fault: dict[str, float], number_format: str) -> None:
    result = judge(exact, Twin(number_format=number_format, **fault))  # type: ignore[arg-type]
    assert result.verdict is ParityVerdict.FAIL
    assert not result.can_win


def test_weights_of_4_bits_fail_against_bfloat16_too(coarse: Reference) -> None:
    result = judge(coarse, Twin(number_format="bfloat16", weight_bits=4))
    assert {"logprobs_differ", "distributions_differ", "choices_differ"} <= codes(result)


def test_a_fault_of_decoding_alone_is_seen_in_the_answers(exact: Reference) -> None:
    result = judge(exact, Twin(decode_shift=1))
    assert codes(result) == {"answers_differ"}
    assert result.forced is not None
    assert result.forced.mean_abs_dlogprob == 0.0


def test_a_wrong_end_token_fails_by_answers_lengths_and_endings() -> None:
    ends = Twin(eos_ids=frozenset(range(0, 384, 16)))
    reference = ends.reference(PROMPTS, tokens=TOKENS)
    result = judge(reference, Twin(eos_ids=frozenset({1})))
    assert codes(result) == {"answers_differ", "lengths_differ", "endings_differ"}


def test_an_engine_that_says_float32_and_computes_in_bfloat16_fails(exact: Reference) -> None:
    honest = Twin(number_format="bfloat16").record(PROMPTS, exact, tokens=TOKENS)
    result = judge_parity(exact, replace(honest, number_format="float32"))
    assert result.verdict is ParityVerdict.FAIL


def test_other_weights_fail(exact: Reference) -> None:
    assert judge(exact, Twin(seed=1)).verdict is ParityVerdict.FAIL
