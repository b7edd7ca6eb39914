"""Architecture facts: check values published for real models, and what a broken config is told."""

from collections.abc import Mapping

import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.models.architecture import Architecture, read_architecture
from tokenforge.models.shapes import Shape, all_shapes, find_shape
from tokenforge.models.tensors import plan_tensors

DEEPSEEK_V3: Mapping[str, object] = {
    "model_type": "deepseek_v3",
    "num_hidden_layers": 61,
    "hidden_size": 7168,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "intermediate_size": 18432,
    "moe_intermediate_size": 2048,
    "vocab_size": 129280,
    "max_position_embeddings": 163840,
    "q_lora_rank": 1536,
    "kv_lora_rank": 512,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "n_routed_experts": 256,
    "n_shared_experts": 1,
    "num_experts_per_tok": 8,
    "first_k_dense_replace": 3,
    "moe_layer_freq": 1,
    "topk_method": "noaux_tc",
    "torch_dtype": "bfloat16",
}
QWEN3_30B_A3B: Mapping[str, object] = {
    "model_type": "qwen3_moe",
    "num_hidden_layers": 48,
    "hidden_size": 2048,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def facts_of(name: str, **changes: object) -> Architecture:
    return read_architecture({**find_shape(name).config, **changes})


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("llama-3.2-1b", 1_235_814_400),
        ("llama-3-8b", 8_030_261_248),
        ("llama-3-70b", 70_553_706_496),
        ("qwen2.5-7b", 7_615_616_512),
        ("mixtral-8x7b", 46_702_792_704),
    ],
)
def test_parameters_are_those_of_the_published_model(name: str, parameters: int) -> None:
    assert facts_of(name).parameters == parameters


@pytest.mark.parametrize(
    ("name", "size"), [("llama-3-8b", 131_072), ("llama-3-70b", 327_680), ("mixtral-8x7b", 131_072)]
)
def test_kv_bytes_per_token_of_grouped_attention(name: str, size: int) -> None:
    assert facts_of(name).kv_bytes_per_token(2) == size


def test_kv_bytes_per_token_of_latent_attention() -> None:
    assert read_architecture(DEEPSEEK_V3).kv_bytes_per_token(2) == 70_272


def test_an_eight_bit_cache_takes_half() -> None:
    assert facts_of("llama-3-8b").kv_bytes_per_token(1) == 65_536


def test_latent_attention_with_experts_counts_to_the_parameter() -> None:
    facts = read_architecture(DEEPSEEK_V3)
    assert facts.parameters == 671_026_419_200
    assert facts.moe_layers == 58
    assert facts.attention == "mla"


def test_head_norms_and_narrow_experts_count_to_the_parameter() -> None:
    facts = read_architecture(QWEN3_30B_A3B)
    assert facts.parameters == 30_532_122_624
    assert facts.active_parameters == 3_353_032_704


def test_only_the_experts_used_are_active() -> None:
    facts = facts_of("mixtral-8x7b")
    idle = 6 * 32 * 3 * 4096 * 14336
    assert facts.active_parameters == facts.parameters - idle == 12_879_925_248


def test_parameters_that_multiply_leave_out_the_embedding_gather_and_the_norms() -> None:
    facts = facts_of("llama-3-8b")
    assert facts.matmul_parameters == facts.parameters - 128_256 * 4096 - (2 * 32 + 1) * 4096


def test_a_tied_head_still_multiplies() -> None:
    facts = facts_of("llama-3.2-1b")
    assert facts.matmul_parameters == facts.parameters - (2 * 16 + 1) * 2048


def test_tied_embeddings_are_counted_once() -> None:
    untied = facts_of("llama-3.2-1b", tie_word_embeddings=False)
    assert untied.parameters - facts_of("llama-3.2-1b").parameters == 128_256 * 2048


@pytest.mark.parametrize("shape", all_shapes(), ids=lambda shape: shape.name)
def test_the_closed_form_equals_the_tensors_that_are_written(shape: Shape) -> None:
    written = sum(tensor.elements for tensor in plan_tensors(shape.config))
    assert written == read_architecture(shape.config).parameters


@pytest.mark.parametrize(("dtype", "size"), [("float32", 4), ("bfloat16", 2), ("float16", 2)])
def test_weights_take_parameters_times_dtype(dtype: str, size: int) -> None:
    facts = facts_of("tiny", torch_dtype=dtype)
    assert facts.weights_bytes == facts.parameters * size


def test_the_newer_name_of_the_dtype_is_read() -> None:
    config = {name: value for name, value in find_shape("tiny").config.items() if name != "torch_dtype"}
    assert read_architecture({**config, "dtype": "float32"}).dtype_bytes == 4


def test_fp8_halves_the_layers_but_not_the_tables() -> None:
    facts = facts_of("llama-3-8b", quantization_config={"quant_method": "fp8"})
    tables_and_norms = 2 * 128_256 * 4096 + (2 * 32 + 1) * 4096
    assert facts.weights_bytes == facts.matrix_parameters + 2 * tables_and_norms


def test_four_bits_take_an_eighth_of_float32() -> None:
    facts = facts_of("llama-3-8b", quantization_config={"quant_method": "awq", "bits": 4})
    assert facts.quant_bits == 4
    assert facts.weights_bytes < facts_of("llama-3-8b").weights_bytes * 0.36


def test_a_quantised_config_without_bits_is_taken_as_eight() -> None:
    assert facts_of("tiny", quantization_config={"quant_method": "compressed-tensors"}).quant_bits == 8


def test_attention_biases_are_counted_when_the_config_says_so() -> None:
    more = facts_of("tiny", attention_bias=True).parameters - facts_of("tiny").parameters
    assert more == 4 * ((4 + 2 * 2) * 64 + 256)


def test_the_head_size_follows_from_the_hidden_size_when_absent() -> None:
    assert facts_of("qwen2.5-7b").head_dim == 128


@pytest.mark.parametrize(("kv_heads", "kind"), [(4, "mha"), (2, "gqa"), (1, "mqa")])
def test_attention_is_named_after_its_kv_heads(kv_heads: int, kind: str) -> None:
    assert facts_of("tiny", num_key_value_heads=kv_heads).attention == kind


def test_every_missing_size_is_named_at_once() -> None:
    with pytest.raises(InvalidInput) as caught:
        read_architecture({"model_type": "llama", "hidden_size": 64, "num_attention_heads": 2})
    named = {fault.field for fault in caught.value.faults}
    assert named == {"num_hidden_layers", "intermediate_size", "vocab_size", "max_position_embeddings"}


@pytest.mark.parametrize("value", ["many", -1, 0, True, 2.5])
def test_a_size_that_is_no_positive_whole_number_is_a_fault(value: object) -> None:
    with pytest.raises(InvalidInput, match="hidden_size"):
        facts_of("tiny", hidden_size=value)


def test_a_mixture_without_a_count_of_active_experts_is_a_fault() -> None:
    with pytest.raises(InvalidInput, match="num_experts_per_tok"):
        facts_of("mixtral-8x7b", num_experts_per_tok=None)


def test_the_language_part_of_a_multimodal_config_is_read() -> None:
    inner = dict(find_shape("tiny").config)
    del inner["torch_dtype"]
    facts = read_architecture({"model_type": "some_vl", "torch_dtype": "bfloat16", "text_config": inner})
    assert facts.parameters == facts_of("tiny").parameters
    assert facts.dtype == "bfloat16"


def test_an_unknown_family_is_counted_but_not_called_exact() -> None:
    facts = facts_of("tiny", model_type="novel")
    assert not facts.is_known
    assert facts.parameters == facts_of("tiny").parameters


def test_dense_layers_named_in_the_config_hold_no_experts() -> None:
    facts = read_architecture({**QWEN3_30B_A3B, "mlp_only_layers": [0, 1], "decoder_sparse_step": 2})
    assert facts.moe_layers == 23
