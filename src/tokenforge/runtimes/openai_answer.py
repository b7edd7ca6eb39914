"""What an OpenAI-compatible server answers, read: events of a stream to chunks, statuses to errors.

The last chunk is held back until usage has come or the stream has ended. Usage is the server's own wherever it tells
it; else ids are counted, else the text by the model's tokenizer, else events, in this order.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tokenforge.domain.errors import EngineError, InvalidRequest, Overloaded, RuntimeFault
from tokenforge.domain.generation import Chunk, FinishReason, GenerateRequest, Usage

_WORDS = 300
Count = Callable[[str], int]


class AnswerReader:
    """One streamed completion. `usage` is what is known so far; `last` the held chunk, once the server said why."""

    def __init__(self, request: GenerateRequest, *, wants_ids: bool, count: Count | None) -> None:
        self.usage = Usage(prompt_tokens=len(request.prompt_ids), completion_tokens=0)
        self.last: Chunk | None = None
        self._wants_ids = wants_ids
        self._count = count
        self._text: list[str] = []
        self._is_told = False

    def read(self, data: str) -> Chunk | None:
        """The chunk of one event, unless there is none or it is the last. Raises EngineError for what is no answer."""
        event = _parse(data)
        choice = _first_choice(event)
        text, ids = choice.get("text") or "", tuple(choice.get("token_ids") or ())
        if self._wants_ids and text and not ids:
            hint = "Set engine_args.openai.return_token_ids: false"
            raise EngineError("the server gives no token ids, though it was asked for them", hint=hint)
        self._note_usage(event.get("usage"), text=text, ids=ids)
        if self.last is not None:
            return None
        chunk = Chunk(token_ids=ids, text="" if ids else text, usage=self.usage, made_ns=time.monotonic_ns())
        if choice.get("finish_reason") is None:
            return chunk if text or ids else None
        self.last = replace(chunk, finish=_finish(choice["finish_reason"]), stop_reason=choice.get("stop_reason"))
        return None

    def end(self) -> Chunk:
        """The last chunk with the final usage. Raises EngineError when the server never said that it was the last."""
        if self.last is None:
            raise EngineError("the server's stream ended without a finish reason")
        if not self._is_told and self._count is not None and self._text:
            self.usage = replace(self.usage, completion_tokens=self._count("".join(self._text)))
        return replace(self.last, usage=self.usage)

    def _note_usage(self, told: object, *, text: str, ids: Sequence[int]) -> None:
        if isinstance(told, dict):
            self.usage = _usage(told, self.usage)
            self._is_told = True
        elif ids or text:
            more = len(ids) or 1
            self.usage = replace(self.usage, completion_tokens=self.usage.completion_tokens + more)
            if not ids:
                self._text.append(text)


def fault_of(status: int, words: str, *, retry_after: str = "") -> RuntimeFault:
    """The error of a status of 400 or more."""
    words = " ".join(words.split())[:_WORDS]
    if status in {429, 503}:
        seconds = float(retry_after) if retry_after.isdigit() else 1.0
        return Overloaded(f"the server is full (HTTP {status}): {words}", retry_after_s=seconds)
    if status in {401, 403}:
        hint = "Set engine_args.openai.api_key to one that it accepts"
        return InvalidRequest(f"the server refused the key (HTTP {status}): {words}", hint=hint)
    if status < 500:
        return InvalidRequest(f"the server refused the request (HTTP {status}): {words}")
    return EngineError(f"the server failed (HTTP {status}): {words}")


def _parse(data: str) -> Mapping[str, object]:
    try:
        event = json.loads(data)
    except ValueError as error:
        raise EngineError(f"the server sent an event that is not JSON: {data[:80]!r}") from error
    if not isinstance(event, dict) or event.get("error"):
        raise EngineError(f"the server reported an error: {str(event)[:_WORDS]}")
    return event


def _first_choice(event: Mapping[str, object]) -> Mapping[str, Any]:
    choices = event.get("choices") or [{}]
    if not isinstance(choices, list) or not isinstance(choices[0], dict):
        raise EngineError(f"the server sent an event that is no completion: {str(event)[:_WORDS]}")
    return choices[0]


def _usage(told: Mapping[str, object], known: Usage) -> Usage:
    details = told.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Usage(
        prompt_tokens=_whole(told.get("prompt_tokens"), known.prompt_tokens),
        completion_tokens=_whole(told.get("completion_tokens"), known.completion_tokens),
        cached_tokens=_whole(cached, known.cached_tokens),
    )


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise


def _finish(reason: object) -> FinishReason:
    return next((known for known in FinishReason if known == reason), FinishReason.STOP)
