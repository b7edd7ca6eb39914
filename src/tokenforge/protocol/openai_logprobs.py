"""Log-probabilities in the two shapes OpenAI has for them: lists side by side for completions, objects for chat."""

from collections.abc import Callable, Sequence

from tokenforge.domain.generation import TokenLogprob

LEAST_LOGPROB = -9999.0
"""Stands for impossible (minus infinity), which JSON cannot say."""


def completion_logprobs(
    entries: Sequence[TokenLogprob], token_text: Callable[[int], str], *, offset: int
) -> dict[str, object]:
    """The shape of `/v1/completions`; `offset` is where these tokens' text starts, in characters."""
    tokens = [token_text(entry.token_id) for entry in entries]
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token)
    return {
        "tokens": tokens,
        "token_logprobs": [entry.logprob for entry in entries],
        "top_logprobs": [{token_text(token_id): logprob for token_id, logprob in entry.top} for entry in entries],
        "text_offset": offsets,
    }


def chat_logprobs(entries: Sequence[TokenLogprob], token_text: Callable[[int], str], *, top: int) -> dict[str, object]:
    """The shape of `/v1/chat/completions`; engines may tell one more than the `top` asked for: the token itself."""
    content = [
        {
            **_token(token_text(entry.token_id), entry.logprob),
            "top_logprobs": [_token(token_text(token_id), logprob) for token_id, logprob in entry.top[:top]],
        }
        for entry in entries
    ]
    return {"content": content, "refusal": None}


def prompt_logprobs(entries: Sequence[TokenLogprob]) -> list[dict[str, object] | None]:
    """vLLM's shape for a prompt: by token id, the given one and the likeliest; nothing for the first token."""
    return [None, *(_by_id(entry) for entry in entries)]


def _by_id(entry: TokenLogprob) -> dict[str, object]:
    ranked = dict(entry.top)
    rows: dict[str, object] = {
        str(token_id): {"logprob": max(logprob, LEAST_LOGPROB), "rank": rank}
        for rank, (token_id, logprob) in enumerate(entry.top, start=1)
    }
    if entry.token_id not in ranked:
        rows[str(entry.token_id)] = {"logprob": max(entry.logprob, LEAST_LOGPROB), "rank": None}
    return rows


def _token(text: str, logprob: float) -> dict[str, object]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
