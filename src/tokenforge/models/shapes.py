"""Shapes: named model architectures as data, in the words of the hub's `config.json`.

A shape is what `synthetic:NAME` makes: true sizes, random weights. Shapes for CPUs are float32, so that two engines
agree token by token; the large ones are bfloat16, as they are served. It holds no licence-bound file: sizes are facts,
the weights and the tokenizer are made here. It refuses to guess: an unknown name is an error that lists the known ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tokenforge.domain.errors import Fault, InvalidInput

PAD_ID, BOS_ID, EOS_ID, START_ID = 0, 1, 2, 3
SUCCESSOR = "successor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One architecture. `config` is the whole `config.json`; `summary` one line for a list."""

    name: str
    summary: str
    config: Mapping[str, object]


def find_shape(name: str) -> Shape:
    """The shape called `name`. Raises InvalidInput that lists the known ones."""
    shape = _SHAPES.get(name)
    if shape is None:
        hint = f"write one of: {', '.join(_SHAPES)}"
        raise InvalidInput([Fault(field="model", value=f"synthetic:{name}", message="is not a known shape", hint=hint)])
    return shape


def all_shapes() -> tuple[Shape, ...]:
    """Every shape, small to large."""
    return tuple(_SHAPES.values())


def _config(architecture: str, model_type: str, **sizes: object) -> dict[str, object]:
    """Fields that all families share, then `sizes`."""
    return {
        "architectures": [architecture],
        "model_type": model_type,
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "attention_dropout": 0.0,
        "use_cache": True,
        "pad_token_id": PAD_ID,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        **sizes,
    }


def _llama(**sizes: object) -> dict[str, object]:
    fixed = {"rms_norm_eps": 1e-5, "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": False}
    return _config("LlamaForCausalLM", "llama", **{**fixed, **sizes})


_TINY = _llama(
    vocab_size=4096,
    hidden_size=256,
    intermediate_size=768,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=64,
    max_position_embeddings=2048,
    rope_theta=10000.0,
    torch_dtype="float32",
)

_SMALL = _llama(
    vocab_size=8192,
    hidden_size=768,
    intermediate_size=2560,
    num_hidden_layers=12,
    num_attention_heads=12,
    num_key_value_heads=4,
    head_dim=64,
    max_position_embeddings=4096,
    rope_theta=10000.0,
    torch_dtype="float32",
)

_SUCCESSOR = _llama(
    vocab_size=2048,
    hidden_size=256,
    intermediate_size=512,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=64,
    max_position_embeddings=2048,
    rope_theta=10000.0,
    torch_dtype="float32",
)

_LLAMA_32_1B = _llama(
    vocab_size=128256,
    hidden_size=2048,
    intermediate_size=8192,
    num_hidden_layers=16,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=64,
    max_position_embeddings=131072,
    rope_theta=500000.0,
    rope_scaling={
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
    tie_word_embeddings=True,
    torch_dtype="bfloat16",
)

_LLAMA_3_8B = _llama(
    vocab_size=128256,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    max_position_embeddings=8192,
    rope_theta=500000.0,
    torch_dtype="bfloat16",
)

_LLAMA_3_70B = {
    **_LLAMA_3_8B,
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
}

_QWEN_25_7B = _config(
    "Qwen2ForCausalLM",
    "qwen2",
    vocab_size=152064,
    hidden_size=3584,
    intermediate_size=18944,
    num_hidden_layers=28,
    num_attention_heads=28,
    num_key_value_heads=4,
    max_position_embeddings=32768,
    max_window_layers=28,
    use_sliding_window=False,
    rms_norm_eps=1e-6,
    rope_theta=1000000.0,
    tie_word_embeddings=False,
    torch_dtype="bfloat16",
)

_MIXTRAL_8X7B = _config(
    "MixtralForCausalLM",
    "mixtral",
    vocab_size=32000,
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    num_local_experts=8,
    num_experts_per_tok=2,
    output_router_logits=False,
    router_aux_loss_coef=0.02,
    sliding_window=None,
    max_position_embeddings=32768,
    rms_norm_eps=1e-5,
    rope_theta=1000000.0,
    tie_word_embeddings=False,
    torch_dtype="bfloat16",
)

_SHAPES: Mapping[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape(name=SUCCESSOR, summary="recites a known text exactly: to test engines against truth", config=_SUCCESSOR),
        Shape(name="tiny", summary="Llama architecture for CPUs, starts in seconds", config=_TINY),
        Shape(name="small", summary="Llama architecture for CPUs, work that can be felt", config=_SMALL),
        Shape(name="llama-3.2-1b", summary="the size of Llama 3.2 1B", config=_LLAMA_32_1B),
        Shape(name="qwen2.5-7b", summary="the size of Qwen2.5 7B", config=_QWEN_25_7B),
        Shape(name="llama-3-8b", summary="the size of Llama 3 8B", config=_LLAMA_3_8B),
        Shape(name="mixtral-8x7b", summary="the size of Mixtral 8x7B, a mixture of experts", config=_MIXTRAL_8X7B),
        Shape(name="llama-3-70b", summary="the size of Llama 3 70B", config=_LLAMA_3_70B),
    )
}
