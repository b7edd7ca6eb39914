"""Text for token-level runtimes, made in one place: ids in, whole characters out, stop strings found.

A token may hold half a UTF-8 character and a stop string may lie across tokens, so text can come later than its ids:
it is held back while it is half a character, or while it may still become a stop string. Ids pass at once. Half a
character at the very end is dropped, never sent as a broken one. Special tokens make no text.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import cast

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from tokenforge.domain.errors import EngineError
from tokenforge.domain.generation import Chunk, FinishReason, GenerateRequest
from tokenforge.runtimes.base import Runtime

_PRIMING_TOKENS = 6
"""How many of the prompt's last ids the decoder is shown: enough for rules about the first word."""

_PATIENCE_TOKENS = 8
"""Ids without text after which broken bytes are given up on: a whole UTF-8 character takes at most four."""


async def with_text(runtime: Runtime, request: GenerateRequest, tokenizer: Tokenizer) -> AsyncIterator[Chunk]:
    """The runtime's chunks with their text. A stop string ends the engine's stream before the last chunk is given out.

    Raises what the runtime raises, and EngineError when it ends without having said why.
    """
    sampling = request.sampling
    stream = TextStream(tokenizer, stop=sampling.stop, prompt_ids=request.prompt_ids, min_tokens=sampling.min_tokens)
    last: Chunk | None = None
    async with aclosing(cast("AsyncGenerator[Chunk, None]", runtime.generate(request))) as chunks:
        async for chunk in chunks:
            told = stream.push(chunk)
            if told.finish is not None:
                last = told
                break
            yield told
    if last is None:
        raise EngineError(f"request {request.request_id} ended without a finish reason")
    yield last


class TextStream:
    """The text of one request. Not for several requests, nor for use after a chunk with `finish`."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        stop: tuple[str, ...] = (),
        prompt_ids: tuple[int, ...] = (),
        min_tokens: int = 0,
    ) -> None:
        self._letters = _Letters(tokenizer, prompt_ids=prompt_ids)
        self._stops = _Stops(tuple(text for text in stop if text))
        self._min_tokens = min_tokens
        self._tokens = 0

    def push(self, chunk: Chunk) -> Chunk:
        """The chunk with its text. At a stop string it ends there: later ids of the chunk are cut, usage with them."""
        text = ""
        for place, token_id in enumerate(chunk.token_ids):
            self._tokens += 1
            piece = self._letters.step(token_id)
            if self._tokens <= self._min_tokens:
                text += piece
                continue
            text += self._stops.step(piece)
            if self._stops.found is not None:
                return self._stopped(chunk, text=text, kept=place + 1)
        if chunk.finish is not None:
            text += self._stops.rest()
        return replace(chunk, text=text) if text else chunk

    def _stopped(self, chunk: Chunk, *, text: str, kept: int) -> Chunk:
        surplus = len(chunk.token_ids) - kept
        return replace(
            chunk,
            token_ids=chunk.token_ids[:kept],
            logprobs=chunk.logprobs[:kept],
            text=text,
            finish=FinishReason.STOP,
            stop_reason=self._stops.found,
            usage=replace(chunk.usage, completion_tokens=chunk.usage.completion_tokens - surplus),
        )


class _Letters:
    """Ids to whole characters. Survives bytes that are no UTF-8 at all, which untrained models do make."""

    def __init__(self, tokenizer: Tokenizer, *, prompt_ids: tuple[int, ...]) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._pending: list[int] = []
        for token_id in prompt_ids[-_PRIMING_TOKENS:]:
            self.step(token_id)

    def step(self, token_id: int) -> str:
        """The characters that this id completes; empty while one is half."""
        self._pending.append(token_id)
        try:
            text = self._stream.step(self._tokenizer, token_id)
        except Exception:  # noqa: BLE001 - the decoder raises a bare Exception when bytes change what came before
            return self._give_up()
        if text:
            self._pending.clear()
            return text
        return self._give_up() if len(self._pending) >= _PATIENCE_TOKENS else ""

    def _give_up(self) -> str:
        text = self._tokenizer.decode(self._pending, skip_special_tokens=True)
        self._pending.clear()
        self._stream = DecodeStream(skip_special_tokens=True)
        return text


class _Stops:
    """Finds the first stop string in a text that comes in pieces; holds back what may yet become one."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.found: str | None = None

    def step(self, piece: str) -> str:
        """The text that is certain. Sets `found`, and gives the text before it, when a stop string is whole."""
        if not self._stops or not piece:
            return piece
        text = self._held + piece
        hits = [(place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if hits:
            place, self.found = min(hits, key=lambda hit: hit[0])
            self._held = ""
            return text[:place]
        held = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """What was held back, now that nothing more comes."""
        text, self._held = self._held, ""
        return text


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` with which `stop` begins."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if stop.startswith(text[-size:])), 0)
