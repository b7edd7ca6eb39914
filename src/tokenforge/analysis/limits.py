"""The least time that physics allows: FLOPs and bytes of prefill and decode, over what a machine can do at most.

A step can't end before its arithmetic is done nor before its bytes have come from memory, so its floor is the longer of
the two. What is counted is what no engine can leave out: each weight that multiplies once per step, each cached token
once per step that attends to it. Engines do more than that, so the floor is never reached. Arithmetic that every
schedule needs is counted once; kernels that recompute are the engine's choice. It refuses nothing and knows no run.
"""

import math
from dataclasses import dataclass

from tokenforge.models.architecture import Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the devices of one engine can do together. `flops` None: not known for this number format."""

    flops: float | None
    bytes_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Arithmetic (one multiply-add is 2 FLOP) and bytes to or from memory."""

    flop: float
    bytes: float


def decode_step(model: Architecture, *, batch: float, context: float, kv_dtype_bytes: int = 2) -> Work:
    """One step that gives `batch` sequences, each `context` tokens long so far, one token more."""
    kv_token = model.kv_bytes_per_token(kv_dtype_bytes)
    flop = batch * (2 * model.matmul_parameters + decode_attention_flop(model) * context)
    moved = weight_bytes(model, experts=distinct_experts(model, tokens=batch)) + batch * (context + 1) * kv_token
    return Work(flop=flop, bytes=moved)


def prefill(model: Architecture, *, tokens: float, cached: float = 0.0, kv_dtype_bytes: int = 2) -> Work:
    """One prompt of `tokens`, the first `cached` of which are in the KV cache already; only its last token needs a
    next-token distribution."""
    fresh = tokens - cached
    moved = weight_bytes(model, experts=distinct_experts(model, tokens=fresh))
    return Work(
        flop=prefill_flop(model, tokens, cached),
        bytes=moved + tokens * model.kv_bytes_per_token(kv_dtype_bytes),
    )


def prefill_flop(model: Architecture, tokens: float, cached: float = 0.0) -> float:
    """The arithmetic of `prefill`; attention is causal, so a token meets half of the others."""
    head = model.vocab * model.hidden
    attention = prefill_attention_flop(model) * (tokens**2 - cached**2)
    return 2 * (model.matmul_parameters - head) * (tokens - cached) + 2 * head + attention


def floor_s(work: Work, machine: Machine) -> float:
    """Seconds below which the work can't be done."""
    arithmetic = work.flop / machine.flops if machine.flops else 0.0
    return max(arithmetic, work.bytes / machine.bytes_per_s)


def mfu(work: Work, *, seconds: float, machine: Machine) -> float | None:
    """Model FLOP/s utilisation: arithmetic done over what the time had room for; None where the peak is not known."""
    return work.flop / (seconds * machine.flops) if machine.flops and seconds > 0 else None


def mbu(work: Work, *, seconds: float, machine: Machine) -> float | None:
    """Memory bandwidth utilisation, likewise."""
    return work.bytes / (seconds * machine.bytes_per_s) if seconds > 0 else None


def distinct_experts(model: Architecture, *, tokens: float) -> float:
    """How many experts of a layer a batch of `tokens` wakes in the mean, when each picks its own at random."""
    if not model.moe_layers:
        return 0.0
    idle = math.pow(1 - model.experts_per_token / model.experts, max(tokens, 1.0))
    return model.experts * (1 - idle)


def weight_bytes(model: Architecture, *, experts: float) -> float:
    """Bytes of the weights that a step reads when `experts` experts of each layer are awake; no embedding gather."""
    stored = model.dtype_bytes if model.quant_bits is None else model.quant_bits / 8
    always = model.matrix_parameters - model.moe_layers * model.experts * model.expert_parameters
    matrices = always + model.moe_layers * experts * model.expert_parameters
    unpacked = model.vocab * model.hidden + (2 * model.layers + 1) * model.hidden
    return matrices * stored + unpacked * model.dtype_bytes


def prefill_attention_flop(model: Architecture) -> float:
    """FLOP of attention per squared prompt token: scores and values, half of the square, over all layers."""
    per_pair = 2 * model.head_dim if model.latent is None else model.head_dim + model.latent.value_dim
    return model.layers * model.heads * per_pair


def decode_attention_flop(model: Architecture) -> float:
    """FLOP of attention per new token and token of context. Latent attention meets the cache as it is stored:
    the projections to and from the latent space are in the matrices, so nothing is unpacked."""
    if model.latent is None:
        return 4 * model.layers * model.heads * model.head_dim
    return 2 * model.layers * model.heads * (2 * model.latent.kv_rank + model.latent.rope_dim)
