"""Sampling per request for Transformers' continuous batching: exact greedy rows beside sampled ones, and no idle work.

The engine's own per-request processors divide by a temperature near 0 to be greedy, which leaves ties to chance, and
sort the whole vocabulary each step even when no request asked for top-k or top-p. These three do neither. They are the
engine's processors with a shortcut, so what they share with it stays the engine's. Imported late: needs torch.
"""

from typing import Any

import torch
from transformers import GenerationConfig
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingTemperatureLogitsWarper,
    ContinuousBatchingTopKLogitsWarper,
    ContinuousBatchingTopPLogitsWarper,
)

from tokenforge.domain.errors import EngineError
from tokenforge.domain.generation import Sampling


def switch_on(*, vocab_size: int, eos_ids: list[int]) -> Any:
    """A base config under which the engine makes all three processors; each request then says its own values."""
    return GenerationConfig(
        do_sample=True, temperature=0.5, top_k=vocab_size, top_p=0.5, eos_token_id=eos_ids or [-1], pad_token_id=0
    )


def put_ours_in(processors: Any) -> None:
    """Replace the engine's three processors. Raises EngineError when this version made others."""
    ours = {
        ContinuousBatchingTemperatureLogitsWarper: GreedyOrTemperature,
        ContinuousBatchingTopKLogitsWarper: TopKWhereAsked,
        ContinuousBatchingTopPLogitsWarper: TopPWhereAsked,
    }
    found = [type(processor) for processor in processors.logits_processor]
    if sorted(kind.__name__ for kind in found) != sorted(kind.__name__ for kind in ours):
        raise EngineError(f"unknown logits processors: {[kind.__name__ for kind in found]}", hint="use a known version")
    for place, processor in enumerate(processors.logits_processor):
        processors.logits_processor[place] = ours[type(processor)](processor)


def request_options(sampling: Sampling, *, vocab_size: int) -> dict[str, float | int]:
    """What a request tells the processors: temperature 0 is greedy, top_k of the vocabulary and top_p 1 are off."""
    return {
        "temperature": float(sampling.temperature),
        "top_k": min(sampling.top_k or vocab_size, vocab_size),
        "top_p": float(sampling.top_p),
    }


class GreedyOrTemperature(ContinuousBatchingTemperatureLogitsWarper):  # type: ignore[misc]
    """Divide by the temperature; a row of temperature 0 keeps its first best token alone."""

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        """Scores are [rows, vocabulary], the argument holds a float32 per row as int32."""
        temperatures = tensor_arg[: scores.size(0)].view(dtype=torch.float32)
        is_greedy = (temperatures <= 0).unsqueeze(-1)
        best = scores.argmax(dim=-1, keepdim=True)
        alone = torch.full_like(scores, float("-inf")).scatter_(-1, best, 0.0)
        return torch.where(is_greedy, alone, scores / temperatures.clamp(min=1e-6).unsqueeze(-1))


class TopKWhereAsked(ContinuousBatchingTopKLogitsWarper):  # type: ignore[misc]
    """The engine's top-k, skipped when every row keeps the whole vocabulary."""

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        """Scores are [rows, vocabulary], the argument holds an int32 per row."""
        if bool((tensor_arg[: scores.size(0)] >= scores.size(-1)).all()):
            return scores
        return super().__call__(scores, tensor_arg)


class TopPWhereAsked(ContinuousBatchingTopPLogitsWarper):  # type: ignore[misc]
    """The engine's top-p, skipped when every row keeps the whole probability."""

    def __call__(self, scores: torch.Tensor, tensor_arg: torch.Tensor) -> torch.Tensor:
        """Scores are [rows, vocabulary], the argument holds a float32 per row as int32."""
        if bool((tensor_arg[: scores.size(0)].view(dtype=torch.float32) >= 1.0).all()):
            return scores
        return super().__call__(scores, tensor_arg)
