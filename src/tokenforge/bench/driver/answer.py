"""What an OpenAI completion stream says: tokens per chunk, usage, why it ended. Pure; fed with (data, stamp) events.

A chunk's tokens are, in this order: the growth of its own cumulative usage (`continuous_usage_stats`), the number of
its `token_ids`, else 1 if it has text (content, reasoning, tool call). A role-only or empty chunk and a usage-only
chunk hold none and are not kept; one with text is, also where usage did not grow: its time is true. Events are decoded
in batches, one JSON call for many. What is malformed becomes `fault`, by name.
"""

import json
from collections.abc import Mapping
from typing import Any

_DONE = b"[DONE]"
_TEXT_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")

Event = tuple[bytes, int]
Json = Any
"""Decoded JSON of unknown shape: this file is the edge that gives it one."""


class Answer:
    """The growing reading of one stream.

    `chunk_ns` and `chunk_tokens` hold the chunks with tokens; `merged_reads` counts reads that brought several of them.
    `server_error` is the message of an error event, `timing` what our worker told of its own durations.
    """

    __slots__ = (
        "_continuous",
        "_merged_stamp",
        "cached_tokens",
        "chunk_ns",
        "chunk_tokens",
        "counted_tokens",
        "fault",
        "finish_reason",
        "is_done",
        "merged_reads",
        "output_tokens",
        "prompt_tokens",
        "server_error",
        "timing",
    )

    def __init__(self) -> None:
        self.chunk_ns: list[int] = []
        self.chunk_tokens: list[int] = []
        self.counted_tokens = 0
        self.merged_reads = 0
        self.prompt_tokens: int | None = None
        self.cached_tokens: int | None = None
        self.output_tokens: int | None = None
        self.finish_reason: str | None = None
        self.is_done = False
        self.fault: str | None = None
        self.server_error: str | None = None
        self.timing: Mapping[str, int] = {}
        self._continuous: bool | None = None
        self._merged_stamp = -1

    def read(self, events: list[Event]) -> None:
        """Take the next events in order. After a fault nothing more is read."""
        texts = [data for data, _ in events]
        if self.is_done and texts:
            self._fail("events after [DONE]", texts[0])
        if _DONE in texts:
            self.is_done = True
            end = texts.index(_DONE)
            if end + 1 < len(texts):
                self._fail("events after [DONE]", texts[-1])
            del texts[end:]
        for chunk, (text, stamp) in zip(self._decode(texts), events, strict=False):
            if self.fault is not None:
                return
            try:
                self._take(chunk, stamp)
            except (AttributeError, KeyError, TypeError, IndexError, ValueError):
                self._fail("chunk of an unknown shape", text)

    def _decode(self, texts: list[bytes]) -> list[Json]:
        """All events in one JSON call; one by one only to name the broken one."""
        if self.fault is not None:
            return []
        try:
            chunks = json.loads(b"[" + b",".join(texts) + b"]")
            if len(chunks) == len(texts) and all(type(chunk) is dict for chunk in chunks):
                return list(chunks)
        except ValueError:
            pass
        return self._decode_each(texts)

    def _decode_each(self, texts: list[bytes]) -> list[Json]:
        chunks: list[Json] = []
        for text in texts:
            try:
                chunk = json.loads(text)
            except ValueError:
                chunk = None
            if type(chunk) is not dict:
                self._late_fault(chunks, "event that is no JSON object", text)
                break
            chunks.append(chunk)
        return chunks

    def _late_fault(self, chunks: list[Json], reason: str, text: bytes) -> None:
        """Whole chunks before the broken event still count; the marker makes `_take` fail in its turn."""
        chunks.append({"_fault": f"{reason}: {_shown(text)}"})

    def _take(self, chunk: Json, stamp: int) -> None:
        usage = chunk.get("usage")
        if usage is not None:
            self._take_usage(usage)
        choices = chunk.get("choices")
        if choices:
            self._take_choice(choices[0], has_usage=usage is not None, stamp=stamp)
        elif choices is None:
            self._take_other(chunk)
        elif "timing" in chunk:
            self._take_timing(chunk["timing"])

    def _take_usage(self, usage: Json) -> None:
        prompt, output = usage["prompt_tokens"], usage["completion_tokens"]
        if type(prompt) is not int or type(output) is not int or not (0 <= prompt < 2**31 and 0 <= output < 2**31):
            raise TypeError("usage is not in whole tokens")
        self.prompt_tokens, self.output_tokens = prompt, output
        details = usage.get("prompt_tokens_details")
        if details:
            cached = details.get("cached_tokens")
            self.cached_tokens = cached if type(cached) is int and 0 <= cached < 2**31 else None

    def _take_timing(self, told: Json) -> None:
        """Durations in whole ns; what is none is left out, since a server may use the word for something else."""
        if type(told) is dict:
            self.timing = {name: ns for name, ns in told.items() if type(ns) is int and 0 <= ns < 2**62}

    def _take_choice(self, choice: Json, *, has_usage: bool, stamp: int) -> None:
        has_text = _has_text(choice)
        ids = choice.get("token_ids")
        if self._continuous is None and (has_text or ids or (has_usage and self.output_tokens)):
            self._continuous = has_usage
        if has_usage and self._continuous:
            tokens = (self.output_tokens or 0) - self.counted_tokens
            if tokens < 0:
                self.fault = f"usage went back from {self.counted_tokens} to {self.output_tokens} tokens"
                return
        elif ids is not None:
            tokens = len(ids)
        else:
            tokens = 1 if has_text else 0
        if tokens or has_text:
            self._count(tokens, stamp)
        finish = choice.get("finish_reason")
        if finish is not None:
            self.finish_reason = str(finish)

    def _count(self, tokens: int, stamp: int) -> None:
        if self.chunk_ns and self.chunk_ns[-1] == stamp and self._merged_stamp != stamp:
            self.merged_reads += 1
            self._merged_stamp = stamp
        self.chunk_ns.append(stamp)
        self.chunk_tokens.append(tokens)
        self.counted_tokens += tokens

    def _take_other(self, chunk: Json) -> None:
        if "_fault" in chunk:
            self.fault = str(chunk["_fault"])
        elif chunk.get("error"):
            self.server_error = error_message(chunk)
        elif "usage" not in chunk:
            raise KeyError("choices")

    def _fail(self, reason: str, text: bytes) -> None:
        if self.fault is None:
            self.fault = f"{reason}: {_shown(text)}"


def error_message(body: Json) -> str:
    """The words of an error body (`error.message`, FastAPI's `detail`, or the whole), cut to 300 characters."""
    found = body
    if isinstance(body, dict):
        found = body.get("error") or body.get("detail") or body.get("message") or body
        if isinstance(found, dict):
            found = found.get("message") or found
    return (found if isinstance(found, str) else json.dumps(found))[:300]


def _has_text(choice: Json) -> bool:
    if choice.get("text"):
        return True
    delta = choice.get("delta")
    if not delta:
        return False
    if delta.get("content"):
        return True
    return bool(delta.get("tool_calls")) or any(delta.get(name) for name in _TEXT_FIELDS)


def _shown(text: bytes) -> str:
    return repr(text[:80].decode(errors="replace"))
