"""What every runtime must do, as plain functions: each takes a started runtime and raises AssertionError.

They need the standard library and TokenForge alone, so they run in an engine's own environment, where there is no
pytest. `CHECKS` leave the runtime as they found it; `CLOSING_CHECKS` end it, so each wants one of its own (or the last
place).
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import cast

from tokenforge.domain.errors import EngineDead, InvalidRequest
from tokenforge.domain.generation import Chunk, FinishReason, GenerateRequest, RuntimeInfo, Sampling
from tokenforge.models.successor import Recital
from tokenforge.models.tokenizers import ModelTokenizer
from tokenforge.runtimes.base import Runtime
from tokenforge.runtimes.text import with_text

CHECK_LIMIT_S = 60.0
_SETTLE_LIMIT_S = 10.0
_LONG = 400
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


async def settle(subject: Subject) -> None:
    """Wait until nothing runs or waits; a slot that is never freed fails here."""
    async with asyncio.timeout(_SETTLE_LIMIT_S):
        while (stats := subject.runtime.stats()).running or stats.waiting:  # noqa: ASYNC110 - stats have no event
            await asyncio.sleep(0.02)


async def refused(subject: Subject, prompt: Sequence[int], sampling: Sampling) -> None:
    """Assert that the request is refused as the caller's fault."""
    try:
        await ask(subject, prompt, sampling)
    except InvalidRequest:
        return
    raise AssertionError("the request was served, it should have been refused with InvalidRequest")


async def a_request_ends_at_max_tokens_with_exact_usage(subject: Subject) -> None:
    """17 asked, 17 made; counts are cumulative and agree with the ids, chunk by chunk; one finish, the last."""
    prompt = subject.prompt()
    answer = await ask(subject, prompt, greedy(17))
    assert len(answer.ids) == 17
    assert answer.last.finish is FinishReason.LENGTH
    assert all(chunk.finish is None for chunk in answer.chunks[:-1])
    counted = itertools.accumulate(len(chunk.token_ids) for chunk in answer.chunks)
    assert [chunk.usage.completion_tokens for chunk in answer.chunks] == list(counted)
    assert {chunk.usage.prompt_tokens for chunk in answer.chunks} == {len(prompt)}


async def chunks_carry_ascending_times(subject: Subject) -> None:
    """`made_ns` never runs backwards."""
    times = [chunk.made_ns for chunk in (await ask(subject, subject.prompt(), greedy(16))).chunks]
    assert times == sorted(times)


async def greedy_output_repeats(subject: Subject) -> None:
    """The same prompt gives the same ids."""
    first = await ask(subject, subject.prompt(1), greedy(24))
    again = await ask(subject, subject.prompt(1), greedy(24))
    assert first.ids == again.ids


async def a_batch_equals_solo_runs(subject: Subject) -> None:
    """Prompts of several lengths give, side by side, what each gives alone."""
    prompts = [subject.prompt(number, tokens=5 + 9 * number) for number in range(subject.slots)]
    solo = [(await ask(subject, prompt, greedy(24))).ids for prompt in prompts]
    together = await asyncio.gather(*(ask(subject, prompt, greedy(24)) for prompt in prompts))
    assert [answer.ids for answer in together] == solo


async def a_greedy_row_is_unmoved_by_sampled_rows(subject: Subject) -> None:
    """Sampling beside it does not leak into a greedy request."""
    alone = await ask(subject, subject.prompt(2), greedy(24))
    hot = Sampling(max_tokens=24, temperature=1.5, top_p=0.9, top_k=40, ignore_eos=True)
    sampled = [ask(subject, subject.prompt(number), hot) for number in range(3, 2 + subject.slots)]
    beside, *_ = await asyncio.gather(ask(subject, subject.prompt(2), greedy(24)), *sampled)
    assert beside.ids == alone.ids


async def more_requests_than_slots_all_end(subject: Subject) -> None:
    """What does not fit waits and is served."""
    count = 3 * subject.slots
    answers = await asyncio.gather(*(ask(subject, subject.prompt(n), greedy(8)) for n in range(count)))
    assert [len(answer.ids) for answer in answers] == [8] * count
    await settle(subject)


async def a_stop_string_ends_the_text_before_itself(subject: Subject) -> None:
    """finish=stop, the string named, nothing of it shown, usage cut at the token that completed it, the slot free."""
    whole = await read(subject, subject.prompt(4), greedy(32))
    stop = whole.text[len(whole.text) // 2 :][:5]
    cut = await read(subject, subject.prompt(4), greedy(32, stop=(stop,)))
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert (cut.last.finish, cut.last.stop_reason) == (FinishReason.STOP, stop)
    assert cut.ids == whole.ids[: len(cut.ids)]
    assert cut.last.usage.completion_tokens == len(cut.ids) < 32
    await settle(subject)


async def closing_the_iterator_frees_its_slot(subject: Subject) -> None:
    """Readers of every slot leave after one chunk; the slots serve again."""
    for number in range(subject.slots + 1):
        request = new_request(subject.prompt(number), greedy(_LONG))
        async with aclosing(cast("AsyncGenerator[Chunk, None]", subject.runtime.generate(request))) as chunks:
            await anext(chunks)
    await settle(subject)
    assert len((await ask(subject, subject.prompt(), greedy(4))).ids) == 4


async def cancelling_the_task_frees_its_slot(subject: Subject) -> None:
    """Cancelled readers leave nothing running or waiting behind."""
    tasks = [
        asyncio.create_task(ask(subject, subject.prompt(number), greedy(_LONG))) for number in range(2 * subject.slots)
    ]
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    await settle(subject)
    assert len((await ask(subject, subject.prompt(), greedy(4))).ids) == 4


async def abort_ends_one_stream_and_no_other(subject: Subject) -> None:
    """The aborted stream ends with finish=abort, its neighbour as if alone; a second abort is no error."""
    alone = await ask(subject, subject.prompt(5), greedy(40))
    request = new_request(subject.prompt(6), greedy(_LONG))
    beside = asyncio.create_task(ask(subject, subject.prompt(5), greedy(40)))
    answer = Answer()
    async for chunk in subject.runtime.generate(request):
        if not answer.chunks:
            await subject.runtime.abort(request.request_id)
            await subject.runtime.abort(request.request_id)
        answer.chunks.append(chunk)
    assert answer.last.finish is FinishReason.ABORT
    assert len(answer.ids) < _LONG
    assert (await beside).ids == alone.ids
    await settle(subject)


async def aborting_an_unknown_id_is_no_error(subject: Subject) -> None:
    """Nobody has to know whether a request has just ended."""
    await subject.runtime.abort("never-seen")


async def an_empty_prompt_is_refused(subject: Subject) -> None:
    """InvalidRequest, not an engine's crash."""
    await refused(subject, (), greedy(4))


async def a_request_beyond_the_window_is_refused(subject: Subject) -> None:
    """A prompt that fills the window, and a fitting prompt whose max_tokens does not fit."""
    window = subject.info.max_model_len
    await refused(subject, subject.prompt(tokens=window), greedy(1))
    await refused(subject, subject.prompt(), greedy(window))


async def an_option_it_lacks_is_refused(subject: Subject) -> None:
    """Never dropped: whoever asks for a seed and is served without would believe in it."""
    can = subject.info.capabilities
    if not can.logprobs:
        await refused(subject, subject.prompt(), Sampling(max_tokens=4, logprobs=2))
    if not can.seed:
        await refused(subject, subject.prompt(), Sampling(max_tokens=4, seed=7))
    if not can.min_tokens:
        await refused(subject, subject.prompt(), greedy(4, min_tokens=2))


async def it_serves_after_errors(subject: Subject) -> None:
    """Refused requests leave no trace."""
    for _ in range(subject.slots + 1):
        await refused(subject, (), greedy(4))
    await settle(subject)
    assert len((await ask(subject, subject.prompt(), greedy(4))).ids) == 4
    await subject.runtime.health()


async def an_equal_seed_gives_equal_samples(subject: Subject) -> None:
    """Where the runtime can seed a request."""
    if not subject.info.capabilities.seed:
        return
    sampling = Sampling(max_tokens=16, temperature=1.0, seed=11, ignore_eos=True)
    first = await ask(subject, subject.prompt(7), sampling)
    again = await ask(subject, subject.prompt(7), sampling)
    assert first.ids == again.ids


async def close_ends_open_streams_with_abort(subject: Subject) -> None:
    """Readers are told, later calls are EngineDead, a second close is no error."""
    tasks = [asyncio.create_task(ask(subject, subject.prompt(n), greedy(_LONG))) for n in range(subject.slots)]
    await asyncio.sleep(0.05)
    await subject.runtime.close(0.0)
    answers = await asyncio.gather(*tasks)
    assert {answer.last.finish for answer in answers} == {FinishReason.ABORT}
    await subject.runtime.close(0.0)
    for call in (subject.runtime.health(), ask(subject, subject.prompt(), greedy(4))):
        try:
            await call
        except EngineDead:
            continue
        raise AssertionError("a closed runtime served a call")


CHECKS: tuple[Check, ...] = (
    a_request_ends_at_max_tokens_with_exact_usage,
    chunks_carry_ascending_times,
    greedy_output_repeats,
    a_batch_equals_solo_runs,
    a_greedy_row_is_unmoved_by_sampled_rows,
    more_requests_than_slots_all_end,
    a_stop_string_ends_the_text_before_itself,
    closing_the_iterator_frees_its_slot,
    cancelling_the_task_frees_its_slot,
    abort_ends_one_stream_and_no_other,
    aborting_an_unknown_id_is_no_error,
    an_empty_prompt_is_refused,
    a_request_beyond_the_window_is_refused,
    an_option_it_lacks_is_refused,
    it_serves_after_errors,
    an_equal_seed_gives_equal_samples,
)
"""For any runtime with token ids, whatever its model."""

CLOSING_CHECKS: tuple[Check, ...] = (close_ends_open_streams_with_abort,)
"""These end the runtime."""
