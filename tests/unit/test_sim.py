"""Laws of the simulated engine: what holds whatever its size and its company, and how its faults look to a reader."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sim_rig import Rig, ids_of, request, started

from tokenforge.domain.errors import EngineDead, EngineError
from tokenforge.domain.generation import FinishReason, GenerateRequest
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.models.synthetic import make_synthetic
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.runtimes.sim import SimRuntime
from tokenforge.runtimes.text import with_text

PROMPTS = st.lists(st.lists(st.integers(1, 2_000), min_size=1, max_size=12), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(prompts=PROMPTS, slots=st.integers(1, 6), kv_tokens=st.integers(24, 200))
def test_whatever_its_slots_and_memory_a_batch_says_what_each_says_alone(
    prompts: list[list[int]], slots: int, kv_tokens: int
) -> None:
    async def both() -> tuple[list[list[int]], list[list[int]]]:
        requests = [request(*prompt, max_tokens=10) for prompt in prompts]
        rig = await started(max_num_seqs=slots, kv_tokens=kv_tokens)
        together = [ids_of(answer) for answer in await rig.ask_all(requests)]
        assert (rig.runtime.stats().running, rig.runtime.stats().waiting) == (0, 0)
        roomy = await started()
        return together, [ids_of(await roomy.ask(each)) for each in requests]

    together, alone = asyncio.run(both())
    assert together == alone


@pytest.mark.parametrize(("slots", "rounds"), [(1, 6), (2, 3), (3, 2), (6, 1), (64, 1)])
async def test_what_waits_is_served_in_rounds_of_its_slots(slots: int, rounds: int) -> None:
    rig = await started(max_num_seqs=slots, step_ms=10.0, decode_ms=0.0, prefill_tokens_per_s=1e9)
    await rig.ask_all([request(n, max_tokens=20) for n in range(1, 7)])
    assert rig.time.now_s == pytest.approx(rounds * 20 * 0.010, rel=0.01)


async def test_first_come_is_first_served() -> None:
    rig = await started(max_num_seqs=1)
    answers = await rig.ask_all([request(n, max_tokens=5) for n in range(1, 5)])
    ends = [answer[-1].made_ns for answer in answers]
    assert ends == sorted(set(ends))


@pytest.mark.parametrize(("kv_tokens", "is_preempted"), [(50, True), (1_000, False)])
async def test_only_what_was_preempted_is_prefilled_again(kv_tokens: int, is_preempted: bool) -> None:
    rig = await started(kv_tokens=kv_tokens, step_ms=0.0, decode_ms=0.0, prefill_tokens_per_s=1_000.0)
    await rig.ask_all([request(n, n, n, max_tokens=30) for n in range(1, 5)])
    prompts_s = 4 * 3 / 1_000
    assert (rig.time.now_s > prompts_s + 1e-6, bool(rig.runtime.stats().preemptions_total)) == (is_preempted,) * 2


async def test_an_error_rate_of_one_fails_every_request_before_its_first_token() -> None:
    rig = await started(error_rate=1.0)
    for n in range(1, 20):
        stream = rig.runtime.generate(request(n))
        with pytest.raises(EngineError, match="as told"):
            await rig.time.run(anext(stream))
    assert rig.runtime.stats().running == 0


async def test_a_truncate_rate_of_one_is_an_engine_error_to_who_reads_text(tmp_path: Path) -> None:
    runtime, folder = await on_tiny(tmp_path, truncate_rate=1.0, step_ms=0.0)
    tokenizer = load_tokenizer(folder)
    asked = request(*tokenizer.plain_ids[:3], max_tokens=8)
    with pytest.raises(EngineError, match="without a finish reason"):
        _ = [chunk async for chunk in with_text(runtime, asked, tokenizer.raw)]
    await runtime.close(0.0)


async def test_a_stop_string_ends_the_text_before_itself_and_frees_the_engine(tmp_path: Path) -> None:
    runtime, folder = await on_tiny(tmp_path, step_ms=0.0)
    tokenizer = load_tokenizer(folder)
    prompt = tokenizer.plain_ids[:3]
    whole = "".join([chunk.text async for chunk in with_text(runtime, request(*prompt, max_tokens=30), tokenizer.raw)])
    stop = whole[len(whole) // 2 :][:4]
    asked = request(*prompt, max_tokens=1_500, stop=(stop,))
    cut = [chunk async for chunk in with_text(runtime, asked, tokenizer.raw)]
    assert "".join(chunk.text for chunk in cut) == whole[: whole.index(stop)]
    assert (cut[-1].finish, cut[-1].stop_reason, runtime.stats().running) == (FinishReason.STOP, stop, 0)
    await runtime.close(0.0)


async def test_an_engine_that_died_of_its_requests_tells_those_that_wait_too() -> None:
    rig = await started(max_num_seqs=1, die_after_requests=3)
    ends = await rig.time.run(asyncio.gather(*(outcome(rig, request(n, max_tokens=500)) for n in range(1, 4))))
    assert ends == [EngineDead] * 3


async def test_fewer_requests_than_it_dies_of_are_all_served() -> None:
    rig = await started(die_after_requests=3)
    assert [len(ids_of(answer)) for answer in await rig.ask_all([request(1), request(2)])] == [8, 8]
    await rig.runtime.health()


@pytest.mark.parametrize("max_tokens", [1, 2, 17])
@pytest.mark.parametrize("off_by", [-1, 1])
async def test_a_wrong_usage_is_wrong_by_just_what_it_was_told(off_by: int, max_tokens: int) -> None:
    chunks = await (await started(usage_off_by=off_by)).ask(request(max_tokens=max_tokens))
    assert chunks[-1].usage.completion_tokens - len(ids_of(chunks)) == off_by


async def test_abort_ends_one_that_runs_and_one_that_waits_and_no_other() -> None:
    rig = await started(max_num_seqs=2)
    asked = [request(n, max_tokens=50) for n in range(1, 5)]
    reads = [asyncio.ensure_future(rig.read(each)) for each in asked]
    await rig.time.run(rig.time.sleep(0.05))
    for gone in (asked[0], asked[3]):
        await rig.runtime.abort(gone.request_id)
    finishes = [answer[-1].finish for answer in await rig.time.run(asyncio.gather(*reads))]
    assert finishes == [FinishReason.ABORT, FinishReason.LENGTH, FinishReason.LENGTH, FinishReason.ABORT]


async def on_tiny(tmp_path: Path, **engine_args: object) -> tuple[SimRuntime, Path]:
    """A started simulator in real time, with the tokenizer of a small model."""
    folder = make_synthetic("tiny", tmp_path / "tiny")
    runtime = SimRuntime(
        RuntimeSpec(runtime="sim", model_path=str(folder), served_name="m", engine_args={"decode_ms": 0, **engine_args})
    )
    await runtime.start()
    return runtime, folder


async def outcome(rig: Rig, asked: GenerateRequest) -> type[Exception] | None:
    """The error that ends a request, if any."""
    try:
        await rig.read(asked)
    except (EngineDead, EngineError) as error:
        return type(error)
    return None
