"""Architecture facts from a `config.json`: parameters, what multiplies per token, bytes of weights and KV cache.

Pure arithmetic on the config's sizes, so a laptop can reason about a model it could never load. It knows dense and
mixture-of-experts layers, grouped-query and latent (MLA) attention. Families whose layout it knows are exact to the
parameter; for another it counts the common layout and says so (`is_known` False). It refuses a config that lacks a
size, naming every one that is missing. Draft (multi-token prediction) layers are not counted: they are not served
unless asked for. A sliding window is not counted either: the KV bytes are those of a token that every layer keeps.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tokenforge.models.config import ConfigFields, language_part

_KNOWN = frozenset(
    {"llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "deepseek_v2", "deepseek_v3"}
)
_DTYPE_BYTES: Mapping[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
_DEFAULT_DTYPE = "bfloat16"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """The ranks of latent attention (MLA). `query_rank` 0 means that queries are projected directly."""

    query_rank: int
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A model's sizes and what follows from them.

    `parameters` is all of them; `active_parameters` those one token uses (the idle experts left out);
    `matmul_parameters` those that multiply per token: matrices, active experts, no embedding gather, the output head.
    `matrix_parameters` counts the layers' matrices with all experts: what a quantised checkpoint stores in
    `quant_bits`. `expert_parameters` is one expert of one layer. `window` is in tokens, `dtype_bytes` per parameter.
    """

    family: str
    is_known: bool
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    window: int
    dtype: str
    dtype_bytes: int
    quant_bits: int | None
    moe_layers: int
    experts: int
    experts_per_token: int
    expert_parameters: int
    latent: Latent | None
    parameters: int
    active_parameters: int
    matmul_parameters: int
    matrix_parameters: int

    @property
    def attention(self) -> str:
        """`mla`, `gqa`, `mqa` or `mha`."""
        if self.latent is not None:
            return "mla"
        if self.kv_heads == self.heads:
            return "mha"
        return "mqa" if self.kv_heads == 1 else "gqa"

    @property
    def weights_bytes(self) -> int:
        """Bytes of all weights; the scales of a quantised checkpoint (a few per cent at most) are not counted."""
        if self.quant_bits is None:
            return self.parameters * self.dtype_bytes
        rest = self.parameters - self.matrix_parameters
        return rest * self.dtype_bytes + math.ceil(self.matrix_parameters * self.quant_bits / 8)

    def kv_bytes_per_token(self, kv_dtype_bytes: int = 2) -> int:
        """Bytes that one token occupies in the KV cache, over all layers."""
        if self.latent is not None:
            return self.layers * (self.latent.kv_rank + self.latent.rope_dim) * kv_dtype_bytes
        return 2 * self.layers * self.kv_heads * self.head_dim * kv_dtype_bytes


def read_architecture(config: Mapping[str, object]) -> Architecture:
    """The facts of any decoder's `config.json`. Raises InvalidInput naming every size that is missing or wrong."""
    fields = ConfigFields(language_part(config))
    sizes = _read_sizes(fields)
    fields.check()
    attention = _attention(sizes)
    dense = _ffn(sizes, sizes.ffn)
    expert = _ffn(sizes, sizes.expert_ffn) if sizes.moe_layers else _Count()
    shared = _ffn(sizes, sizes.shared_ffn) if sizes.shared_ffn else _Count()
    router = _Count(matrices=sizes.hidden * (sizes.experts + sizes.has_shared_gate), vectors=sizes.router_bias)
    every = attention.times(sizes.layers).plus(dense.times(sizes.layers - sizes.moe_layers))
    every = every.plus(shared.plus(router).times(sizes.moe_layers))
    all_experts = expert.times(sizes.experts * sizes.moe_layers)
    used_experts = expert.times(sizes.experts_per_token * sizes.moe_layers)
    table = sizes.vocab * sizes.hidden
    outside = table * (1 if sizes.is_tied else 2) + 2 * sizes.hidden * sizes.layers + sizes.hidden
    return Architecture(
        family=sizes.family,
        is_known=sizes.family in _KNOWN,
        layers=sizes.layers,
        hidden=sizes.hidden,
        heads=sizes.heads,
        kv_heads=sizes.kv_heads,
        head_dim=sizes.head_dim,
        ffn=sizes.ffn,
        vocab=sizes.vocab,
        window=sizes.window,
        dtype=sizes.dtype,
        dtype_bytes=_DTYPE_BYTES.get(sizes.dtype, 2),
        quant_bits=sizes.quant_bits,
        moe_layers=sizes.moe_layers,
        experts=sizes.experts,
        experts_per_token=sizes.experts_per_token,
        expert_parameters=expert.total,
        latent=sizes.latent,
        parameters=every.total + all_experts.total + outside,
        active_parameters=every.total + used_experts.total + outside,
        matmul_parameters=every.matrices + used_experts.matrices + table,
        matrix_parameters=every.matrices + all_experts.matrices,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Count:
    """Parameters of a part: in matrices, and in vectors (biases, norms) that do not multiply."""

    matrices: int = 0
    vectors: int = 0

    @property
    def total(self) -> int:
        return self.matrices + self.vectors

    def plus(self, other: "_Count") -> "_Count":
        return _Count(matrices=self.matrices + other.matrices, vectors=self.vectors + other.vectors)

    def times(self, count: int) -> "_Count":
        return _Count(matrices=self.matrices * count, vectors=self.vectors * count)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sizes:
    family: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    window: int
    dtype: str
    quant_bits: int | None
    is_tied: bool
    latent: Latent | None
    attention_vectors: int
    moe_layers: int
    experts: int
    experts_per_token: int
    expert_ffn: int
    shared_ffn: int
    has_shared_gate: bool
    router_bias: int
    has_ffn_bias: bool


def _read_sizes(fields: ConfigFields) -> _Sizes:
    family = fields.text("model_type") or "unknown"
    layers = fields.required("num_hidden_layers", "n_layer")
    hidden = fields.required("hidden_size", "n_embd")
    heads = fields.required("num_attention_heads", "n_head")
    kv_heads = fields.number("num_key_value_heads", default=heads)
    head_dim = fields.number("head_dim") or hidden // heads
    experts = fields.number("num_local_experts", "n_routed_experts", "num_experts")
    expert_ffn = fields.number("moe_intermediate_size") or fields.number("intermediate_size")
    latent = _read_latent(fields)
    return _Sizes(
        family=family,
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim if latent is None else latent.nope_dim + latent.rope_dim,
        ffn=fields.required("intermediate_size", "n_inner"),
        vocab=fields.required("vocab_size"),
        window=fields.required("max_position_embeddings", "n_positions", "max_seq_len"),
        dtype=fields.text("torch_dtype", "dtype") or _DEFAULT_DTYPE,
        quant_bits=_read_quant_bits(fields),
        is_tied=fields.flag("tie_word_embeddings", default=family.startswith("gemma")),
        latent=latent,
        attention_vectors=_attention_vectors(
            fields, family=family, hidden=hidden, heads=heads, kv_heads=kv_heads, head_dim=head_dim
        ),
        moe_layers=_moe_layers(fields, layers=layers) if experts else 0,
        experts=experts,
        experts_per_token=fields.required("num_experts_per_tok") if experts else 0,
        expert_ffn=expert_ffn,
        shared_ffn=fields.number("shared_expert_intermediate_size") or fields.number("n_shared_experts") * expert_ffn,
        has_shared_gate=family == "qwen2_moe",
        router_bias=experts if fields.text("topk_method") == "noaux_tc" or family == "deepseek_v3" else 0,
        has_ffn_bias=fields.flag("mlp_bias"),
    )


def _read_latent(fields: ConfigFields) -> Latent | None:
    if not fields.number("kv_lora_rank"):
        return None
    return Latent(
        query_rank=fields.number("q_lora_rank"),
        kv_rank=fields.required("kv_lora_rank"),
        nope_dim=fields.required("qk_nope_head_dim"),
        rope_dim=fields.required("qk_rope_head_dim"),
        value_dim=fields.required("v_head_dim"),
    )


def _read_quant_bits(fields: ConfigFields) -> int | None:
    quant = ConfigFields(fields.mapping("quantization_config"))
    method = quant.text("quant_method")
    if method is None:
        return None
    return 8 if "fp8" in method else quant.number("bits", default=8) or 8


def _moe_layers(fields: ConfigFields, *, layers: int) -> int:
    """Layers that hold experts: all, but for the first dense ones, those named dense, and a stride."""
    first = fields.number("first_k_dense_replace")
    stride = max(1, fields.number("moe_layer_freq", default=1))
    step = max(1, fields.number("decoder_sparse_step", default=1))
    dense = fields.whole_numbers("mlp_only_layers")
    held = (i >= first and i % stride == 0 and (i + 1) % step == 0 and i not in dense for i in range(layers))
    return sum(held)


def _attention_vectors(
    fields: ConfigFields, *, family: str, hidden: int, heads: int, kv_heads: int, head_dim: int
) -> int:
    """Biases and head norms of one attention: Qwen2 always has q, k, v biases, Qwen3 norms each head's q and k."""
    qkv = (heads + 2 * kv_heads) * head_dim
    vectors = 2 * head_dim if family in {"qwen3", "qwen3_moe"} else 0
    if family == "qwen2" or (family == "qwen2_moe" and fields.flag("qkv_bias", default=True)):
        return vectors + qkv
    return vectors + (qkv + hidden if fields.flag("attention_bias") and not family.startswith("deepseek") else 0)


def _attention(sizes: _Sizes) -> _Count:
    d, heads = sizes.hidden, sizes.heads
    if sizes.latent is None:
        matrices = 2 * d * heads * sizes.head_dim + 2 * d * sizes.kv_heads * sizes.head_dim
        return _Count(matrices=matrices, vectors=sizes.attention_vectors)
    rank = sizes.latent
    query_dim = heads * (rank.nope_dim + rank.rope_dim)
    query = d * rank.query_rank + rank.query_rank * query_dim if rank.query_rank else d * query_dim
    down = d * (rank.kv_rank + rank.rope_dim)
    up = rank.kv_rank * heads * (rank.nope_dim + rank.value_dim)
    out = heads * rank.value_dim * d
    return _Count(matrices=query + down + up + out, vectors=rank.query_rank + rank.kv_rank)


def _ffn(sizes: _Sizes, width: int) -> _Count:
    vectors = 2 * width + sizes.hidden if sizes.has_ffn_bias else 0
    return _Count(matrices=3 * sizes.hidden * width, vectors=vectors)
