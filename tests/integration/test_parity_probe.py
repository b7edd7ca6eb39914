"""Parity over real HTTP, against servers whose answers and faults are known."""

from dataclasses import replace

import pytest
from twin_llama import Twin
from twin_server import TwinServer

from tokenforge.bench.parity import ParityAsk, measure_parity, record_candidate, record_reference
from tokenforge.bench.parity_session import with_number_format
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.parity import ParityResult, ParityVerdict
from tokenforge.domain.runtime import Quant

ASK = ParityAsk(prompts=8, tokens=12, prompt_tokens=24, batch=4)


async def measure(reference: TwinServer, candidate: TwinServer) -> ParityResult:
    async with reference.target(runtime="a") as one, candidate.target(runtime="b") as other:
        return await measure_parity(one, other, ASK)


async def test_equal_servers_pass_to_the_last_token() -> None:
    result = await measure(TwinServer(twin=Twin()), TwinServer(twin=Twin()))
    assert result.verdict is ParityVerdict.PASS
    assert result.free is not None
    assert (result.free.prompts, result.free.exact_rate) == (8, 1.0)
    assert result.forced is not None
    assert (result.forced.tokens, result.number_format) == (96, "float32")


async def test_a_faulty_server_fails_and_cannot_win() -> None:
    result = await measure(TwinServer(twin=Twin()), TwinServer(twin=Twin(theta=500_000.0)))
    assert result.verdict is ParityVerdict.FAIL
    assert not result.can_win
    assert result.sentence.startswith("b does not say the same as a. After the same tokens")


async def test_the_reference_answers_alone_first_and_then_in_a_batch() -> None:
    reference, candidate = TwinServer(twin=Twin()), TwinServer(twin=Twin())
    await measure(reference, candidate)
    assert 1 < reference.most <= ASK.batch
    assert 1 < candidate.most <= ASK.batch
    assert len(reference.asked) == 4 * ASK.prompts


async def test_questions_are_greedy_and_may_end_early() -> None:
    server = TwinServer(twin=Twin())
    await measure(server, server)
    assert all(asked["temperature"] == 0 and "ignore_eos" not in asked for asked in server.asked)


async def test_prompts_have_four_lengths_and_are_the_same_for_a_seed() -> None:
    server = TwinServer(twin=Twin())
    async with server.target() as target:
        first, again = await record_reference(target, ASK), await record_reference(target, ASK)
        other = await record_reference(target, replace(ASK, seed=1))
    assert [len(prompt) for prompt in first.prompts] == [6, 12, 18, 24] * 2
    assert first == again
    assert other.prompts != first.prompts


async def test_a_server_that_cannot_score_is_compared_by_its_answers() -> None:
    result = await measure(TwinServer(twin=Twin()), TwinServer(twin=Twin(), gives_scores=False))
    assert (result.verdict, result.forced) == (ParityVerdict.PASS, None)
    assert any("b was compared by its answers alone" in note and "unknown field" in note for note in result.notes)


async def test_a_server_without_token_ids_is_asked_in_text_and_so_is_the_other() -> None:
    reference = TwinServer(twin=Twin())
    result = await measure(reference, TwinServer(twin=Twin(), gives_ids=False))
    assert result.verdict is ParityVerdict.PASS
    assert all(isinstance(asked["prompt"], str) for asked in reference.asked if "prompt_logprobs" not in asked)
    assert any("its texts were compared" in note for note in result.notes)


async def test_texts_that_differ_cannot_be_judged() -> None:
    result = await measure(TwinServer(twin=Twin()), TwinServer(twin=Twin(seed=1), gives_ids=False))
    assert result.verdict is ParityVerdict.NOT_MEASURED
    assert [reason.code for reason in result.reasons] == ["differences_unjudged"]


@pytest.mark.parametrize(("status", "code"), [(500, "engine_error"), (400, "invalid_request")])
async def test_a_server_that_answers_with_errors_is_not_measured(status: int, code: str) -> None:
    result = await measure(TwinServer(twin=Twin()), TwinServer(twin=Twin(), fails_with=status))
    assert result.verdict is ParityVerdict.NOT_MEASURED
    assert [reason.code for reason in result.reasons] == [code]
    assert f"HTTP {status}: as told" in result.sentence


async def test_a_server_that_is_gone_is_not_measured() -> None:
    server = TwinServer(twin=Twin())
    async with server.target() as target:
        gone = replace(target, runtime="gone")
    async with server.target() as target:
        result = await measure_parity(target, gone, ASK)
    assert [reason.code for reason in result.reasons] == ["target_unreachable"]


async def test_the_candidate_may_come_up_after_the_reference_went_down() -> None:
    async with TwinServer(twin=Twin()).target() as target:
        reference = await record_reference(target, ASK)
    async with TwinServer(twin=Twin()).target() as target:
        candidate = await record_candidate(target, ASK, reference)
    assert candidate.answers == reference.alone.answers
    assert candidate.scores == reference.alone.scores


async def test_more_tokens_than_the_window_holds_are_refused() -> None:
    async with TwinServer(twin=Twin()).target() as target:
        with pytest.raises(InvalidInput, match=r"--tokens = 300: leaves no prompt in the window of 256"):
            await record_reference(target, replace(ASK, tokens=300))


@pytest.mark.parametrize(("told", "expected"), [({}, "fp32"), ({"details": {"dtype": "bfloat16"}}, "bfloat16")])
def test_a_number_format_given_for_a_server_counts_only_where_it_says_none(
    told: dict[str, object], expected: str
) -> None:
    target = replace(TwinServer(twin=Twin()).as_target("http://host", runtime="a"), engine=told)
    engine = with_number_format(target, Quant.FP32).engine
    assert engine is not None
    assert engine["details"] == {"dtype": expected}
