"""with_text: the engine's stream is closed when a stop string ends it, before the last chunk is given out."""

from collections.abc import AsyncIterator

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tokenforge.domain.errors import EngineError
from tokenforge.domain.generation import (
    Chunk,
    FinishReason,
    GenerateRequest,
    RuntimeInfo,
    RuntimeStats,
    Sampling,
    Usage,
)
from tokenforge.runtimes.text import with_text


class Recorder:
    """A runtime that says given ids, one a chunk, and knows whether its stream was closed."""

    def __init__(self, ids: tuple[int, ...], *, finish: FinishReason | None = FinishReason.LENGTH) -> None:
        self.ids = ids
        self.finish = finish
        self.given = 0
        self.is_closed = False

    async def start(self) -> RuntimeInfo:
        raise NotImplementedError

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Chunk]:
        try:
            for place, token in enumerate(self.ids):
                self.given += 1
                usage = Usage(prompt_tokens=len(request.prompt_ids), completion_tokens=place + 1)
                finish = self.finish if place == len(self.ids) - 1 else None
                yield Chunk(token_ids=(token,), finish=finish, usage=usage, made_ns=place)
        finally:
            self.is_closed = True

    async def abort(self, request_id: str) -> None:
        raise NotImplementedError(request_id)

    async def health(self) -> None:
        raise NotImplementedError

    def stats(self) -> RuntimeStats:
        raise NotImplementedError

    async def close(self, grace_s: float) -> None:
        raise NotImplementedError(grace_s)


@pytest.fixture
def letters() -> Tokenizer:
    raw = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate("abcdef")}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    return raw


def request(*stop: str) -> GenerateRequest:
    """Six tokens asked after a prompt of two."""
    return GenerateRequest(request_id="r", prompt_ids=(0, 1), sampling=Sampling(max_tokens=6, stop=stop))


async def test_text_comes_with_each_chunk(letters: Tokenizer) -> None:
    chunks = [chunk async for chunk in with_text(Recorder((0, 1, 2)), request(), letters)]
    assert [chunk.text for chunk in chunks] == ["a", "b", "c"]


async def test_a_stop_string_ends_the_engines_stream(letters: Tokenizer) -> None:
    runtime = Recorder((0, 1, 2, 3, 4, 5))
    chunks = [chunk async for chunk in with_text(runtime, request("cd"), letters)]
    assert "".join(chunk.text for chunk in chunks) == "ab"
    assert chunks[-1].usage.completion_tokens == runtime.given == 4


async def test_the_slot_is_free_before_the_last_chunk_is_given_out(letters: Tokenizer) -> None:
    runtime = Recorder((0, 1, 2, 3))
    async for chunk in with_text(runtime, request("c"), letters):
        assert runtime.is_closed is (chunk.finish is not None)


async def test_leaving_early_closes_the_engines_stream(letters: Tokenizer) -> None:
    runtime = Recorder((0, 1, 2, 3))
    stream = with_text(runtime, request(), letters)
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator behind the wider type
    assert runtime.is_closed


async def test_a_stream_without_a_finish_is_an_error(letters: Tokenizer) -> None:
    with pytest.raises(EngineError, match="without a finish"):
        [chunk async for chunk in with_text(Recorder((0, 1), finish=None), request(), letters)]
