"""The simulated engine: its time, its tokens, its memory. All in virtual time."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast

import pytest
from sim_rig import Rig, ids_of, request, started

from tokenforge.domain.errors import EngineDead, InvalidRequest
from tokenforge.domain.generation import Chunk, FinishReason
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.models.synthetic import make_synthetic
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.runtimes.sim import SimRuntime

EXACT = {"step_ms": 10.0, "decode_ms": 1.0, "prefill_tokens_per_s": 1_000.0}


async def test_it_says_that_it_is_simulated() -> None:
    rig = Rig()
    info = await rig.time.run(rig.runtime.start())
    assert (info.engine, info.simulated, info.token_level) == ("sim", True, True)


async def test_a_slow_start_takes_the_time_it_was_told() -> None:
    rig = await started(start_ms=90_000.0)
    assert rig.time.now_s == 90.0


async def test_each_token_costs_a_step_and_the_first_its_prefill() -> None:
    rig = await started(**EXACT)
    chunks = await rig.ask(request(*range(1, 101), max_tokens=3))
    assert [round(chunk.made_ns / 1e6) for chunk in chunks] == [111, 122, 133]


async def test_a_batch_shares_its_steps() -> None:
    rig = await started(**EXACT)
    await rig.ask_all([request(n, max_tokens=10) for n in range(1, 11)])
    assert rig.time.now_s == pytest.approx(10 * (10 + 10) / 1e3 + 10 / 1_000)


async def test_an_hour_of_load_passes_in_no_time() -> None:
    rig = await started(step_ms=1_000.0, decode_ms=0.0)
    await rig.ask(request(max_tokens=1_000))
    assert rig.time.now_s > 1_000


async def test_usage_and_ids_agree_chunk_by_chunk() -> None:
    chunks = await (await started()).ask(request(max_tokens=6))
    assert [chunk.usage.completion_tokens for chunk in chunks] == [1, 2, 3, 4, 5, 6]
    assert len(ids_of(chunks)) == 6
    assert chunks[-1].finish is FinishReason.LENGTH


async def test_greedy_repeats_in_another_engine_and_another_company() -> None:
    alone = ids_of(await (await started()).ask(request(7, 8, max_tokens=30)))
    beside, *_ = await (await started()).ask_all([request(7, 8, max_tokens=30), request(9), request(10, 11)])
    assert ids_of(beside) == alone


async def test_another_prompt_or_engine_seed_gives_other_tokens() -> None:
    answers = [
        ids_of(await (await started(seed=seed)).ask(request(prompt, max_tokens=16)))
        for seed, prompt in ((0, 1), (0, 2), (1, 1))
    ]
    assert len({tuple(answer) for answer in answers}) == 3


async def test_a_request_seed_decides_samples_and_not_greedy_ones() -> None:
    rig = await started()
    sampled = [ids_of(await rig.ask(request(temperature=1.0, seed=seed))) for seed in (4, 4, 5)]
    greedy = [ids_of(await rig.ask(request(seed=seed))) for seed in (4, 5)]
    assert sampled[0] == sampled[1] != sampled[2]
    assert greedy[0] == greedy[1]


async def test_it_stops_at_its_end_token_which_counts() -> None:
    rig = await started()
    chunks = await rig.ask(request(max_tokens=1_500, ignore_eos=False))
    last = chunks[-1]
    assert (last.finish, last.stop_reason, last.token_ids) == (FinishReason.STOP, 0, (0,))
    assert last.usage.completion_tokens == len(ids_of(chunks)) < 1_500


async def test_ignore_eos_goes_on_to_the_last_token_and_never_says_it() -> None:
    chunks = await (await started()).ask(request(max_tokens=1_500))
    assert len(ids_of(chunks)) == 1_500
    assert 0 not in ids_of(chunks)


async def test_min_tokens_forbid_an_earlier_end() -> None:
    rig = await started()
    free = len(ids_of(await rig.ask(request(max_tokens=1_500, ignore_eos=False))))
    held = len(ids_of(await rig.ask(request(max_tokens=1_500, ignore_eos=False, min_tokens=free + 5))))
    assert held > free + 5


async def test_no_more_than_max_num_seqs_run_and_the_rest_waits() -> None:
    rig = await started(max_num_seqs=2)
    reads = [asyncio.ensure_future(rig.read(request(n, max_tokens=50))) for n in range(1, 6)]
    await rig.time.run(rig.time.sleep(0.05))
    assert (rig.runtime.stats().running, rig.runtime.stats().waiting) == (2, 3)
    assert [len(ids_of(answer)) for answer in await rig.time.run(asyncio.gather(*reads))] == [50] * 5


async def test_a_full_cache_preempts_the_youngest_and_all_end_whole() -> None:
    requests = [request(n, n, n, max_tokens=30) for n in range(1, 5)]
    rig = await started(kv_tokens=50)
    answers = await rig.ask_all(requests)
    assert [len(ids_of(answer)) for answer in answers] == [30] * 4
    assert rig.runtime.stats().preemptions_total


async def test_preemption_changes_no_token() -> None:
    prompts = [(n, n, n) for n in range(1, 5)]
    tight = await (await started(kv_tokens=50)).ask_all([request(*p, max_tokens=30) for p in prompts])
    roomy = await (await started()).ask_all([request(*p, max_tokens=30) for p in prompts])
    assert [ids_of(answer) for answer in tight] == [ids_of(answer) for answer in roomy]


async def test_the_cache_use_is_a_share_and_nothing_when_idle() -> None:
    rig = await started(kv_tokens=100)
    read = asyncio.ensure_future(rig.read(request(*range(1, 41), max_tokens=40)))
    await rig.time.run(rig.time.sleep(0.02))
    assert 0.4 < (rig.runtime.stats().kv_usage_ratio or 0) < 1
    await rig.time.run(read)
    assert rig.runtime.stats().kv_usage_ratio == 0


async def test_what_could_never_fit_the_cache_is_refused_and_does_not_wait_for_ever() -> None:
    rig = await started(kv_tokens=20)
    with pytest.raises(InvalidRequest, match="the window is 20"):
        await rig.ask(request(max_tokens=30))


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"max_tokens": 5_000}, "max_tokens"),
        ({"logprobs": 1}, "logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 9.0}, "temperature"),
    ],
)
async def test_what_it_cannot_do_is_refused_by_name(bad: dict[str, object], field: str) -> None:
    rig = await started()
    with pytest.raises(InvalidRequest) as raised:
        await rig.ask(request(**bad))  # type: ignore[arg-type]
    assert raised.value.field == field


async def test_an_id_in_use_is_refused() -> None:
    rig = await started()
    same = request(max_tokens=50)
    read = asyncio.ensure_future(rig.read(same))
    await rig.time.run(rig.time.sleep(0.01))
    with pytest.raises(InvalidRequest, match="in use"):
        await rig.ask(same)
    await rig.time.run(read)


async def test_leaving_a_stream_frees_its_place() -> None:
    rig = await started()
    stream = cast("AsyncGenerator[Chunk, None]", rig.runtime.generate(request(max_tokens=50)))
    await rig.time.run(anext(stream))
    await stream.aclose()
    assert rig.runtime.stats().running == 0


async def test_close_lets_streams_end_within_its_grace() -> None:
    rig = await started()
    read = asyncio.ensure_future(rig.read(request(max_tokens=20)))
    await rig.time.run(rig.time.sleep(0.01))
    await rig.time.run(rig.runtime.close(60.0))
    assert len(ids_of(await read)) == 20


async def test_close_aborts_what_goes_on_beyond_its_grace() -> None:
    rig = await started()
    read = asyncio.ensure_future(rig.read(request(max_tokens=2_000)))
    await rig.time.run(rig.time.sleep(0.01))
    await rig.time.run(rig.runtime.close(0.1))
    assert (await read)[-1].finish is FinishReason.ABORT


async def test_before_its_start_and_after_its_end_it_is_dead() -> None:
    rig = Rig()
    with pytest.raises(EngineDead, match="not started"):
        await rig.runtime.health()
    await rig.start()
    await rig.runtime.close(0.0)
    with pytest.raises(EngineDead, match="closed"):
        await rig.ask(request())


async def test_a_close_during_a_slow_start_ends_the_start() -> None:
    rig = Rig(start_ms=1_000.0)
    start = asyncio.ensure_future(rig.runtime.start())
    await asyncio.sleep(0)
    await rig.runtime.close(0.0)
    with pytest.raises(EngineDead, match="while it started"):
        await rig.time.run(start)


async def test_it_speaks_ids_of_the_models_tokenizer_and_knows_its_window(tmp_path: Path) -> None:
    folder = make_synthetic("tiny", tmp_path / "tiny")
    runtime = SimRuntime(RuntimeSpec(runtime="sim", model_path=str(folder), served_name="m"))
    info, tokenizer = await runtime.start(), load_tokenizer(folder)
    chunks = [chunk async for chunk in runtime.generate(request(*tokenizer.plain_ids[:3], max_tokens=40))]
    await runtime.close(0.0)
    assert set(ids_of(chunks)) <= set(tokenizer.plain_ids)
    assert info.max_model_len == 2_048
