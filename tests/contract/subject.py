"""What the checks are about: a started runtime with its model, and how a check asks it something."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tokenforge.domain.errors import InvalidRequest
from tokenforge.domain.generation import Chunk, GenerateRequest, RuntimeInfo, Sampling
from tokenforge.models.successor import Recital
from tokenforge.models.tokenizers import ModelTokenizer
from tokenforge.runtimes.base import Runtime
from tokenforge.runtimes.text import with_text

FREE_LIMIT_S = 2.0
"""A freed slot serves within this; one that was not freed is busy for many seconds with the rest of a long answer."""
_serial = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A started runtime, what it said of itself, and its model; `recital` is the known output, if any."""

    runtime: Runtime
    info: RuntimeInfo
    tokenizer: ModelTokenizer
    recital: Recital | None = None

    @property
    def slots(self) -> int:
        """How many sequences it runs at once."""
        return self.info.max_num_seqs or 4

    @property
    def long(self) -> int:
        """max_tokens of an answer that takes many seconds: what the window leaves beside `prompt`."""
        return min(self.info.max_model_len - 16, 4_000)

    def prompt(self, number: int = 0, *, tokens: int = 12) -> tuple[int, ...]:
        """A prompt of its own for each number, of ids that stand for text."""
        ids = self.tokenizer.plain_ids
        return tuple(ids[(number * 7_919 + place * 104_729 + 13) % len(ids)] for place in range(tokens))


Check = Callable[[Subject], Awaitable[None]]


@dataclass(slots=True)
class Answer:
    """All chunks of one request."""

    chunks: list[Chunk] = field(default_factory=list)

    @property
    def ids(self) -> list[int]:
        """The generated ids."""
        return [token for chunk in self.chunks for token in chunk.token_ids]

    @property
    def text(self) -> str:
        """The generated text."""
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def last(self) -> Chunk:
        """The chunk that says why it ended."""
        return self.chunks[-1]


def new_request(prompt: Sequence[int], sampling: Sampling) -> GenerateRequest:
    """A request with an id that no other has."""
    return GenerateRequest(request_id=f"check-{next(_serial)}", prompt_ids=tuple(prompt), sampling=sampling)


def greedy(max_tokens: int, *, ignore_eos: bool = True, stop: tuple[str, ...] = (), min_tokens: int = 0) -> Sampling:
    """Greedy sampling, to exactly `max_tokens` unless told otherwise."""
    return Sampling(max_tokens=max_tokens, temperature=0.0, ignore_eos=ignore_eos, stop=stop, min_tokens=min_tokens)


async def ask(subject: Subject, prompt: Sequence[int], sampling: Sampling) -> Answer:
    """Everything the runtime yields for one request."""
    chunks = [chunk async for chunk in subject.runtime.generate(new_request(prompt, sampling))]
    return Answer(chunks)


async def read(subject: Subject, prompt: Sequence[int], sampling: Sampling) -> Answer:
    """Everything, with text."""
    stream = with_text(subject.runtime, new_request(prompt, sampling), subject.tokenizer.raw)
    return Answer([chunk async for chunk in stream])


async def slots_are_free(subject: Subject) -> None:
    """Every slot answers at once and then nothing runs or waits. The answers prove it; counts alone may be ours."""
    async with asyncio.timeout(FREE_LIMIT_S):
        answers = await asyncio.gather(*(ask(subject, subject.prompt(n), greedy(2)) for n in range(subject.slots)))
        assert [len(answer.ids) for answer in answers] == [2] * subject.slots
        while (stats := subject.runtime.stats()).running or stats.waiting:  # noqa: ASYNC110 - stats have no event
            await asyncio.sleep(0.02)


async def refused(subject: Subject, prompt: Sequence[int], sampling: Sampling) -> None:
    """Assert that the request is refused as the caller's fault."""
    try:
        await ask(subject, prompt, sampling)
    except InvalidRequest:
        return
    raise AssertionError("the request was served, it should have been refused with InvalidRequest")
