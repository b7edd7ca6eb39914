"""Score given tokens with the weights that serve, in a plain forward pass beside the batching thread.

The batching thread has switched its model to paged attention, so the pass needs modules of its own; they share every
weight, so it costs no memory. Imported late: needs torch.
"""

import copy
from typing import Any

import torch

from tokenforge.domain.generation import ScoreRequest, TokenLogprob

_ROWS = 256
"""Places whose logits are widened to float32 at once: 256 x 128,000 tokens are 131 MB."""


class Scoring:
    """A model's plain twin. Calls may come from several threads, one after another."""

    def __init__(self, model: Any) -> None:
        shared = {id(weight): weight for weight in (*model.parameters(), *model.buffers())}
        self._model = copy.deepcopy(model, shared).eval()

    def score(self, request: ScoreRequest) -> tuple[TokenLogprob, ...]:
        """One entry for each token but the first; blocks."""
        ids = torch.tensor([request.token_ids], device=self._model.device)
        with torch.inference_mode():
            logits = self._model(input_ids=ids, use_cache=False).logits[0, :-1]
            entries: list[TokenLogprob] = []
            for start in range(0, logits.shape[0], _ROWS):
                given = ids[0, 1 + start : 1 + start + _ROWS]
                entries += _entries(logits[start : start + _ROWS], given, top=request.top)
        return tuple(entries)


def _entries(logits: torch.Tensor, given: torch.Tensor, *, top: int) -> list[TokenLogprob]:
    """Logits are [places, vocabulary]."""
    logprobs = logits.float().log_softmax(dim=-1)
    best = logprobs.topk(min(top, logprobs.shape[-1]), dim=-1)
    own = logprobs.gather(-1, given[: len(logits), None])[:, 0].tolist()
    rows = zip(given.tolist(), own, best.indices.tolist(), best.values.tolist(), strict=True)
    return [
        TokenLogprob(token_id=token, logprob=logprob, top=tuple(zip(ids, values, strict=True)))
        for token, logprob, ids, values in rows
    ]
