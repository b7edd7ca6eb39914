"""MFU, MBU and the share of the limit of a measured run, and why there is none."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from limit_samples import ENGINE, LOAD, MEASURED, PEAK, hardware_record, measured_run
from record_samples import Engine, Load, sample
from test_models_architecture import facts_of

from tokenforge.analysis.limit_basis import LimitBasis, NoBasis, read_basis
from tokenforge.analysis.limits import Machine, decode_step, floor_s, prefill_flop
from tokenforge.analysis.run_limits import LimitUse
from tokenforge.analysis.summary import summarise
from tokenforge.domain.ceilings import CeilingKind
from tokenforge.domain.runtime import Accelerator

LLAMA_8B = facts_of("llama-3-8b")


def against_peak(**changes: Any) -> LimitUse:
    return measured_run(ceilings=(PEAK,), **changes).limits.against[0]


def basis_of(**changes: Any) -> LimitBasis | NoBasis:
    document, _ = hardware_record(**changes)
    return read_basis(document, document["runs"][0])


def reason_of(**changes: Any) -> str:
    basis = basis_of(**changes)
    assert isinstance(basis, NoBasis)
    return basis.reason


def test_each_ceiling_is_named_and_the_machine_s_own_comes_first() -> None:
    limits = measured_run().limits
    assert [one.kind for one in limits.against] == [CeilingKind.MEASURED, CeilingKind.VENDOR]
    assert limits.against[0].bytes_per_s == 4.39e12
    assert limits.note is None


def test_mfu_of_prefill_is_the_prompts_arithmetic_per_second_over_the_peak() -> None:
    use = against_peak(load=Load(qps=None, concurrency=1, requests=120))
    assert use.prefill is not None
    prompts_per_s = use.prefill.tokens_per_s / 256
    assert use.prefill.mfu == pytest.approx(prompts_per_s * prefill_flop(LLAMA_8B, 256) / 989.5e12)


def test_mbu_of_decode_is_bytes_of_a_step_over_what_its_time_had_room_for() -> None:
    use = against_peak(load=Load(qps=None, concurrency=4, requests=200))
    assert use.decode.batch is not None
    assert use.decode.took_ms is not None
    step = decode_step(LLAMA_8B, batch=use.decode.batch, context=256 + 8)
    assert use.decode.mbu == pytest.approx(step.bytes / (use.decode.took_ms / 1e3 * 4.8e12), rel=0.02)


def test_the_first_token_of_each_answer_is_prefill_s_and_not_decode_s() -> None:
    run = measured_run(load=Load(qps=None, concurrency=1, requests=200))
    assert run.output_tokens_per_s.value is not None
    assert run.limits.against[0].decode.tokens_per_s == pytest.approx(run.output_tokens_per_s.value * 15 / 16, rel=0.01)


def test_the_least_step_is_the_floor_less_what_the_cache_may_hold() -> None:
    use = against_peak()
    step = decode_step(LLAMA_8B, batch=use.decode.batch or 0, context=use.decode.tokens)
    cached = replace(step, bytes=step.bytes - PEAK.cache_bytes)
    assert use.decode.floor_ms == pytest.approx(
        floor_s(cached, Machine(flops=989.5e12, bytes_per_s=4.8e12)) * 1e3, rel=1e-3
    )


def test_headroom_is_what_is_left_of_the_limit() -> None:
    use = against_peak()
    assert use.share.value is not None
    assert 0 < use.share.value < 1
    assert use.headroom == 1 / use.share.value


def test_a_faster_engine_on_the_same_hardware_has_less_headroom() -> None:
    load = Load(qps=None, concurrency=4, requests=120)
    quick, slow = (against_peak(engine=Engine(runtime="vllm", step_ms=step), load=load) for step in (6.0, 12.0))
    assert (quick.headroom or 0) < (slow.headroom or 0)


def test_cached_prompt_tokens_are_left_out_of_prefill() -> None:
    whole = against_peak(load=LOAD)
    half = against_peak(engine=replace(ENGINE, cached_share=0.5), load=LOAD)
    assert whole.prefill is not None
    assert half.prefill is not None
    assert half.prefill.tokens == whole.prefill.tokens / 2 == 128


def test_a_model_that_fits_into_the_cache_is_not_bound_by_memory() -> None:
    use = against_peak(architecture=facts_of("tiny", torch_dtype="bfloat16"))
    assert use.decode.mbu is None
    assert use.share.value is not None
    assert use.share.value < 0.01


def test_two_devices_have_twice_the_ceiling() -> None:
    use = against_peak(benchmark={"engine_args": {"vllm": {"tensor_parallel_size": 2}}})
    assert (use.devices, use.bytes_per_s) == (2, 9.6e12)


def test_an_engine_with_words_of_its_own_may_have_used_every_device() -> None:
    document, _ = hardware_record(engine=Engine(runtime="plugged"))
    document["environment"]["gpus"] = [{"name": "NVIDIA H200"}] * 8
    basis = read_basis(document, document["runs"][0])
    assert isinstance(basis, LimitBasis)
    assert basis.devices == 8


def test_replicas_run_as_many_sequences_each() -> None:
    basis = basis_of(benchmark={"engine_args": {"vllm": {"data_parallel_size": 4}}})
    assert isinstance(basis, LimitBasis)
    assert (basis.devices, basis.most_running) == (4, 4 * 64)


def test_a_format_without_a_known_peak_is_bound_by_memory_alone() -> None:
    use = against_peak(details={"dtype": "float32"})
    assert use.flops is None
    assert use.decode.mfu is None
    assert use.decode.mbu is not None


def test_weights_packed_by_the_benchmark_are_read_in_fewer_bytes() -> None:
    basis = basis_of(benchmark={"quant": "fp8"})
    assert isinstance(basis, LimitBasis)
    assert basis.model.quant_bits == 8
    assert basis.machine(PEAK).flops is None


def test_ceilings_of_another_kind_of_device_are_not_used() -> None:
    processor = replace(MEASURED, accelerator=Accelerator.CPU)
    basis = basis_of(ceilings=(processor, PEAK))
    assert isinstance(basis, LimitBasis)
    assert basis.ceilings == (PEAK,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ceilings": ()}, "tokenforge doctor --measure"),
        ({"architecture": {"layers": 1}}, "does not hold the model's architecture"),
        ({"engine": replace(ENGINE, simulated=True)}, "simulated"),
        ({"details": {"quantization": "exotic"}}, "exotic"),
        ({"details": {"dtype": "int3"}}, "int3"),
        ({"benchmark": {"engine_args": {"vllm": {"speculative_config": {}}}}}, "drafts"),
    ],
)
def test_a_run_without_a_limit_says_why(changes: Mapping[str, Any], words: str) -> None:
    assert words in reason_of(**changes)


def test_a_server_that_was_not_started_here_has_no_limit() -> None:
    document, _ = hardware_record()
    basis = read_basis(document, {**document["runs"][0], "start_s": None})
    assert isinstance(basis, NoBasis)
    assert "not started here" in basis.reason


def test_an_engine_that_does_not_tell_its_number_format_has_no_limit() -> None:
    document, _ = hardware_record()
    del document["runs"][0]["engine"]["details"]["dtype"]
    basis = read_basis(document, document["runs"][0])
    assert isinstance(basis, NoBasis)
    assert "number format" in basis.reason


def test_an_older_record_has_a_note_and_no_limit() -> None:
    limits = summarise(*sample([ENGINE], [LOAD])).runs[0].limits
    assert limits.against == ()
    assert limits.note is not None
