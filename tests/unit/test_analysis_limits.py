"""Floors of prefill and decode: the check numbers of real models on an H200, and laws that hold for any model."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_models_architecture import DEEPSEEK_V3, QWEN3_30B_A3B, facts_of

from tokenforge.analysis.limits import (
    Machine,
    Work,
    decode_step,
    distinct_experts,
    floor_s,
    mbu,
    mfu,
    prefill,
    prefill_flop,
    weight_bytes,
)
from tokenforge.domain.canonical import to_plain
from tokenforge.models.architecture import read_architecture
from tokenforge.models.architecture_record import recorded_architecture

H200 = Machine(flops=989.5e12, bytes_per_s=4.8e12)
LLAMA_8B = facts_of("llama-3-8b")
MIXTRAL = facts_of("mixtral-8x7b")
DEEPSEEK = read_architecture(DEEPSEEK_V3)


@pytest.mark.parametrize(("batch", "least_ms"), [(1, 3.16), (64, 4.92), (256, 10.29)])
def test_a_decode_step_of_8b_on_an_h200_at_1024_tokens_has_its_known_floor(batch: int, least_ms: float) -> None:
    step = decode_step(LLAMA_8B, batch=batch, context=1024)
    assert round(floor_s(step, H200) * 1e3, 2) == least_ms


def test_a_prefill_of_1024_tokens_of_8b_on_an_h200_has_its_known_floor() -> None:
    assert round(floor_s(prefill(LLAMA_8B, tokens=1024), H200) * 1e3, 1) == 14.7


def test_a_prompt_takes_its_arithmetic_and_a_small_decode_step_its_bytes() -> None:
    prompt, step = prefill(LLAMA_8B, tokens=1024), decode_step(LLAMA_8B, batch=1, context=1024)
    assert prompt.flop / 989.5e12 > prompt.bytes / 4.8e12
    assert step.flop / 989.5e12 < step.bytes / 4.8e12


def test_the_weights_of_8b_that_a_step_reads_are_all_but_the_embedding_table() -> None:
    assert weight_bytes(LLAMA_8B, experts=0) == 2 * (8_030_261_248 - 128_256 * 4096)


def test_decode_flop_is_two_per_weight_and_four_per_head_width_and_context() -> None:
    step = decode_step(LLAMA_8B, batch=3, context=100)
    assert step.flop == 3 * (2 * LLAMA_8B.matmul_parameters + 4 * 32 * 32 * 128 * 100)


def test_prefill_flop_is_the_closed_form() -> None:
    head = 128_256 * 4096
    expected = 2 * (LLAMA_8B.matmul_parameters - head) * 512 + 2 * head + 2 * 32 * 32 * 128 * 512**2
    assert prefill_flop(LLAMA_8B, 512) == expected


def test_a_cache_of_latent_attention_moves_70272_bytes_per_token_of_context() -> None:
    longer, shorter = (decode_step(DEEPSEEK, batch=1, context=context) for context in (1001, 1000))
    assert longer.bytes - shorter.bytes == 70_272


def test_latent_attention_meets_the_cache_as_it_is_stored() -> None:
    longer, shorter = (decode_step(DEEPSEEK, batch=1, context=context) for context in (1001, 1000))
    assert longer.flop - shorter.flop == 2 * 61 * 128 * (512 + 64 + 512)


def test_latent_attention_scores_192_and_gathers_128_per_head_in_prefill() -> None:
    half_a_square = prefill_flop(DEEPSEEK, 2) - 2 * prefill_flop(DEEPSEEK, 1)
    head = 2 * 129_280 * 7168
    assert half_a_square == 61 * 128 * (192 + 128) * (4 - 2) - head


@pytest.mark.parametrize(("batch", "awake"), [(1, 2.0), (4, 5.46875), (32, 7.9992)])
def test_experts_awake_follow_the_law_of_random_choice(batch: int, awake: float) -> None:
    assert distinct_experts(MIXTRAL, tokens=batch) == pytest.approx(awake, rel=1e-5)


def test_one_token_of_a_mixture_reads_its_active_experts_and_a_crowd_reads_all() -> None:
    one = weight_bytes(MIXTRAL, experts=distinct_experts(MIXTRAL, tokens=1))
    crowd = weight_bytes(MIXTRAL, experts=distinct_experts(MIXTRAL, tokens=4096))
    assert one == 2 * (MIXTRAL.active_parameters - 32_000 * 4096)
    assert crowd == pytest.approx(2 * (MIXTRAL.parameters - 32_000 * 4096))


def test_a_mixture_moves_131072_bytes_of_cache_per_token() -> None:
    longer, shorter = (decode_step(MIXTRAL, batch=1, context=context) for context in (11, 10))
    assert longer.bytes - shorter.bytes == 131_072


def test_weights_of_four_bits_are_read_in_a_quarter_of_the_bytes_but_for_the_head() -> None:
    packed = replace(LLAMA_8B, quant_bits=4)
    table = 2 * (128_256 * 4096 + 65 * 4096)
    assert weight_bytes(packed, experts=0) - table == (weight_bytes(LLAMA_8B, experts=0) - table) / 4


def test_cached_tokens_need_no_arithmetic_of_their_own() -> None:
    parts = prefill_flop(LLAMA_8B, 600, 400) + prefill_flop(LLAMA_8B, 400)
    assert parts == prefill_flop(LLAMA_8B, 600) + 2 * 128_256 * 4096


def test_where_the_arithmetic_peak_is_not_known_the_bytes_alone_make_the_floor() -> None:
    work = Work(flop=1e15, bytes=1e9)
    assert floor_s(work, Machine(flops=None, bytes_per_s=1e9)) == 1.0
    assert mfu(work, seconds=2, machine=Machine(flops=None, bytes_per_s=1e9)) is None


def test_utilisation_is_work_over_what_the_time_had_room_for() -> None:
    work = Work(flop=5e12, bytes=1e12)
    assert mfu(work, seconds=2, machine=Machine(flops=10e12, bytes_per_s=1e12)) == 0.25
    assert mbu(work, seconds=2, machine=Machine(flops=10e12, bytes_per_s=1e12)) == 0.5


@given(st.floats(1, 512), st.floats(1.01, 4), st.floats(1, 8192))
def test_more_in_a_batch_costs_time_but_less_time_each(batch: float, factor: float, context: float) -> None:
    for model in (LLAMA_8B, MIXTRAL, DEEPSEEK):
        few = floor_s(decode_step(model, batch=batch, context=context), H200)
        many = floor_s(decode_step(model, batch=batch * factor, context=context), H200)
        assert few <= many <= few * factor * (1 + 1e-9)


@pytest.mark.parametrize("config", [DEEPSEEK_V3, QWEN3_30B_A3B])
def test_an_architecture_comes_back_from_a_record(config: Mapping[str, object]) -> None:
    model = read_architecture(config)
    assert recorded_architecture(to_plain(model)) == model


@pytest.mark.parametrize("change", [{"layers": "many"}, {"heads": None}, {"latent": {"kv_rank": 1}}, {"vocab": True}])
def test_an_architecture_that_was_edited_reads_as_none(change: Mapping[str, object]) -> None:
    plain = to_plain(LLAMA_8B)
    assert isinstance(plain, dict)
    assert recorded_architecture({**plain, **change}) is None
