"""What every runtime must do, as plain functions: each takes a started runtime and raises AssertionError.

They need the standard library and TokenForge alone, so they run in an engine's own environment, where there is no
pytest. `CHECKS` leave the runtime as they found it; `CLOSING_CHECKS` end it, so each wants one of its own (or the last
place).
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import cast

from subject import FREE_LIMIT_S, Answer, Check, Subject, ask, greedy, new_request, read, refused, slots_are_free

from tokenforge.domain.errors import EngineDead
from tokenforge.domain.generation import Chunk, FinishReason, Sampling

CHECK_LIMIT_S = 60.0


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
    await slots_are_free(subject)


async def a_stop_string_ends_the_text_before_itself(subject: Subject) -> None:
    """finish=stop, the string named, nothing of it shown, usage cut at the token that completed it, the slot free."""
    whole = await read(subject, subject.prompt(4), greedy(32))
    stop = whole.text[len(whole.text) // 2 :][:5]
    sampling = greedy(subject.long, stop=(stop,))
    cut, *_ = await asyncio.gather(*(read(subject, subject.prompt(4), sampling) for _ in range(subject.slots)))
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert (cut.last.finish, cut.last.stop_reason) == (FinishReason.STOP, stop)
    assert cut.ids == whole.ids[: len(cut.ids)]
    assert cut.last.usage.completion_tokens == len(cut.ids) < 32
    await slots_are_free(subject)


async def closing_the_iterator_frees_its_slot(subject: Subject) -> None:
    """Readers of every slot leave after one chunk; the slots serve again."""
    for number in range(subject.slots + 1):
        request = new_request(subject.prompt(number), greedy(subject.long))
        async with aclosing(cast("AsyncGenerator[Chunk, None]", subject.runtime.generate(request))) as chunks:
            async with asyncio.timeout(FREE_LIMIT_S):
                await anext(chunks)
    await slots_are_free(subject)


async def cancelling_the_task_frees_its_slot(subject: Subject) -> None:
    """Cancelled readers leave nothing running or waiting behind."""
    tasks = [
        asyncio.create_task(ask(subject, subject.prompt(number), greedy(subject.long)))
        for number in range(2 * subject.slots)
    ]
    await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    await slots_are_free(subject)


async def abort_ends_a_stream_and_no_other(subject: Subject) -> None:
    """Aborted streams end with finish=abort, a neighbour as if alone; a second abort is no error."""
    alone = await ask(subject, subject.prompt(5), greedy(40))
    aborted = [_abort_after_one_chunk(subject, subject.prompt(6 + number)) for number in range(subject.slots)]
    beside, *answers = await asyncio.gather(ask(subject, subject.prompt(5), greedy(40)), *aborted)
    assert {answer.last.finish for answer in answers} == {FinishReason.ABORT}
    assert all(0 < len(answer.ids) < subject.long for answer in answers)
    assert beside.ids == alone.ids
    await slots_are_free(subject)


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
    await slots_are_free(subject)
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
    tasks = [asyncio.create_task(ask(subject, subject.prompt(n), greedy(subject.long))) for n in range(subject.slots)]
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


async def _abort_after_one_chunk(subject: Subject, prompt: Sequence[int]) -> Answer:
    request = new_request(prompt, greedy(subject.long))
    answer = Answer()
    async for chunk in subject.runtime.generate(request):
        if not answer.chunks:
            await subject.runtime.abort(request.request_id)
            await subject.runtime.abort(request.request_id)
        answer.chunks.append(chunk)
    return answer


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
    abort_ends_a_stream_and_no_other,
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
