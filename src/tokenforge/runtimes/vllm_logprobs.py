"""vLLM's log-probabilities in our words. Needs nothing of vLLM."""

import math
from collections.abc import Sequence
from typing import Any

from tokenforge.domain.generation import TokenLogprob


def read_logprobs(token_ids: Sequence[int], given: Any) -> tuple[TokenLogprob, ...]:
    """One per token of `token_ids`, from vLLM's mapping for each of them; none when it gave none."""
    if not given:
        return ()
    return tuple(_logprob(token_id, dict(row)) for token_id, row in zip(token_ids, given, strict=True))


def _logprob(token_id: int, row: dict[int, Any]) -> TokenLogprob:
    ranked = sorted(((other, float(found.logprob)) for other, found in row.items()), key=lambda pair: -pair[1])
    own = row.get(token_id)
    return TokenLogprob(token_id=token_id, logprob=float(own.logprob) if own else -math.inf, top=tuple(ranked))
