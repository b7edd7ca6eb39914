"""Log-probabilities in the two shapes OpenAI has for them: lists side by side for completions, objects for chat."""

from collections.abc import Callable, Sequence

from tokenforge.domain.generation import TokenLogprob


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


def chat_logprobs(entries: Sequence[TokenLogprob], token_text: Callable[[int], str]) -> dict[str, object]:
    """The shape of `/v1/chat/completions`."""
    content = [
        {
            **_token(token_text(entry.token_id), entry.logprob),
            "top_logprobs": [_token(token_text(token_id), logprob) for token_id, logprob in entry.top],
        }
        for entry in entries
    ]
    return {"content": content, "refusal": None}


def _token(text: str, logprob: float) -> dict[str, object]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
