"""The tensors of a synthetic model: their hub names and shapes from its config, and how each is filled.

Names and order are those of published checkpoints, so engines load the result like any other. It refuses families whose
layout it does not know: a made-up name would load as random somewhere and as an error elsewhere.
"""

import enum
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.models.architecture import Architecture, read_architecture

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"


class Fill(enum.StrEnum):
    """How a tensor's values come about."""

    NORMAL = "normal"
    ONES = "ones"
    ZEROS = "zeros"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of a checkpoint."""

    name: str
    shape: tuple[int, ...]
    fill: Fill = Fill.NORMAL

    @property
    def elements(self) -> int:
        """How many values it holds."""
        return math.prod(self.shape)


def plan_tensors(config: Mapping[str, object]) -> tuple[Tensor, ...]:
    """Every tensor that `config` asks for, in a checkpoint's order. Raises InvalidInput for an unknown family."""
    facts = read_architecture(config)
    if facts.family not in {"llama", "qwen2", "mixtral"}:
        hint = "write llama, qwen2 or mixtral"
        raise InvalidInput([Fault(field="model_type", value=facts.family, message="has no known layout", hint=hint)])
    return tuple(_all_tensors(facts, is_tied=config.get("tie_word_embeddings") is True))


def _all_tensors(facts: Architecture, *, is_tied: bool) -> Iterator[Tensor]:
    yield Tensor(name=EMBEDDING, shape=(facts.vocab, facts.hidden))
    for layer in range(facts.layers):
        prefix = f"model.layers.{layer}"
        yield Tensor(name=f"{prefix}.input_layernorm.weight", shape=(facts.hidden,), fill=Fill.ONES)
        yield from _attention(facts, f"{prefix}.self_attn")
        yield Tensor(name=f"{prefix}.post_attention_layernorm.weight", shape=(facts.hidden,), fill=Fill.ONES)
        if facts.experts:
            yield from _experts(facts, f"{prefix}.block_sparse_moe")
        else:
            yield from _ffn(facts, f"{prefix}.mlp")
    yield Tensor(name="model.norm.weight", shape=(facts.hidden,), fill=Fill.ONES)
    if not is_tied:
        yield Tensor(name=HEAD, shape=(facts.vocab, facts.hidden))


def _attention(facts: Architecture, prefix: str) -> Iterator[Tensor]:
    widths = {"q": facts.heads * facts.head_dim, "k": facts.kv_heads * facts.head_dim}
    widths["v"] = widths["k"]
    for part, width in widths.items():
        yield Tensor(name=f"{prefix}.{part}_proj.weight", shape=(width, facts.hidden))
        if facts.family == "qwen2":
            yield Tensor(name=f"{prefix}.{part}_proj.bias", shape=(width,), fill=Fill.ZEROS)
    yield Tensor(name=f"{prefix}.o_proj.weight", shape=(facts.hidden, widths["q"]))


def _ffn(facts: Architecture, prefix: str) -> Iterator[Tensor]:
    yield Tensor(name=f"{prefix}.gate_proj.weight", shape=(facts.ffn, facts.hidden))
    yield Tensor(name=f"{prefix}.up_proj.weight", shape=(facts.ffn, facts.hidden))
    yield Tensor(name=f"{prefix}.down_proj.weight", shape=(facts.hidden, facts.ffn))


def _experts(facts: Architecture, prefix: str) -> Iterator[Tensor]:
    yield Tensor(name=f"{prefix}.gate.weight", shape=(facts.experts, facts.hidden))
    for expert in range(facts.experts):
        for part, shape in (
            ("w1", (facts.ffn, facts.hidden)),
            ("w2", (facts.hidden, facts.ffn)),
            ("w3", (facts.ffn, facts.hidden)),
        ):
            yield Tensor(name=f"{prefix}.experts.{expert}.{part}.weight", shape=shape)
