"""What a real engine must do beyond the common checks: against models whose answer is known, and options it claims."""

import asyncio
import json

from subject import Check, Subject, ask, greedy, read, refused, slots_are_free

from tokenforge.domain.errors import InvalidRequest
from tokenforge.domain.generation import FinishReason, Sampling, ScoreRequest
from tokenforge.models.successor import Recital
from tokenforge.runtimes.base import Scorer


async def an_unknown_token_id_is_refused(subject: Subject) -> None:
    """One bad id must not end the engine for everybody."""
    await refused(subject, (*subject.prompt(), 1_000_000_000), greedy(4))
    await subject.runtime.health()
    assert len((await ask(subject, subject.prompt(), greedy(4))).ids) == 4


async def top_k_one_is_greedy_at_any_temperature(subject: Subject) -> None:
    """Per-request top_k reaches the sampler."""
    best = await ask(subject, subject.prompt(8), greedy(24))
    one = await ask(subject, subject.prompt(8), Sampling(max_tokens=24, temperature=1.5, top_k=1, ignore_eos=True))
    assert one.ids == best.ids


async def a_tiny_top_p_is_greedy_at_any_temperature(subject: Subject) -> None:
    """Per-request top_p reaches the sampler."""
    best = await ask(subject, subject.prompt(9), greedy(24))
    sampling = Sampling(max_tokens=24, temperature=1.5, top_p=1e-6, ignore_eos=True)
    assert (await ask(subject, subject.prompt(9), sampling)).ids == best.ids


async def a_high_temperature_leaves_the_greedy_path(subject: Subject) -> None:
    """Per-request temperature reaches the sampler: 48 samples that all agree with greedy would be a miracle."""
    best = await ask(subject, subject.prompt(10), greedy(48))
    hot = await ask(subject, subject.prompt(10), Sampling(max_tokens=48, temperature=2.0, ignore_eos=True))
    assert hot.ids != best.ids


async def logprobs_come_with_every_token(subject: Subject) -> None:
    """Where claimed: one per id, none above zero, the greedy token the likeliest."""
    if not subject.info.capabilities.logprobs:
        return
    sampling = Sampling(max_tokens=8, temperature=0.0, logprobs=3, ignore_eos=True)
    answer = await ask(subject, subject.prompt(), sampling)
    told = [logprob for chunk in answer.chunks for logprob in chunk.logprobs]
    assert [logprob.token_id for logprob in told] == answer.ids
    assert all(logprob.logprob <= 0 and logprob.top[0][0] == logprob.token_id for logprob in told)


async def given_tokens_are_scored_as_they_are_served(subject: Subject) -> None:
    """Where claimed: a greedy answer, given back, has the likeliest token at each place; while others are served."""
    if not subject.info.capabilities.prompt_logprobs:
        return
    runtime: object = subject.runtime
    assert isinstance(runtime, Scorer)
    prompt = subject.prompt(11)
    answer, _ = await asyncio.gather(ask(subject, prompt, greedy(16)), ask(subject, subject.prompt(12), greedy(16)))
    given = (*prompt, *answer.ids)
    told, _ = await asyncio.gather(
        runtime.score(ScoreRequest(request_id="scored", token_ids=given, top=5)),
        ask(subject, subject.prompt(13), greedy(16)),
    )
    assert [entry.token_id for entry in told] == list(given[1:])
    assert [entry.top[0][0] for entry in told[len(prompt) - 1 :]] == answer.ids
    assert all(dict(entry.top).get(entry.token_id, entry.logprob) == entry.logprob < 0 for entry in told)


async def tokens_that_cannot_be_scored_are_refused(subject: Subject) -> None:
    """Where claimed: an unknown id is the caller's fault and ends nothing."""
    if not subject.info.capabilities.prompt_logprobs:
        return
    runtime: object = subject.runtime
    assert isinstance(runtime, Scorer)
    for given in ((), (*subject.prompt(), 1_000_000_000)):
        try:
            await runtime.score(ScoreRequest(request_id="refused", token_ids=given, top=5))
        except InvalidRequest:
            continue
        raise AssertionError(f"{given} was scored, it should have been refused with InvalidRequest")
    await subject.runtime.health()


async def an_answer_fits_its_schema_and_ends_by_itself(subject: Subject) -> None:
    """Where claimed: random weights make JSON of the values that are allowed, at any temperature, beside free text."""
    if not subject.info.capabilities.json_schema:
        return
    kinds = {"enum": ['a"b', "é\n", 3]}
    schema = {
        "type": "object",
        "properties": {
            "kind": kinds, "ok": {"type": "boolean"}, "more": {"type": "array", "items": kinds, "maxItems": 2},
        },
        "required": ["kind", "ok", "more"],
        "additionalProperties": False,
    }  # fmt: skip
    held = [
        Sampling(max_tokens=200, temperature=float(n % 2), seed=n, json_schema=json.dumps(schema)) for n in range(4)
    ]
    *answers, free = await asyncio.gather(
        *(read(subject, subject.prompt(n), sampling) for n, sampling in enumerate(held)),
        ask(subject, subject.prompt(9), greedy(24)),
    )
    for answer in answers:
        value = json.loads(answer.text)
        assert answer.last.finish is FinishReason.STOP
        assert list(value) == ["kind", "ok", "more"]
        assert all(one in kinds["enum"] for one in (value["kind"], *value["more"]))
        assert (type(value["ok"]), len(value["more"]) <= 2) == (bool, True)
    assert free.ids == (await ask(subject, subject.prompt(9), greedy(24))).ids


async def a_schema_is_held_to_the_last_token_that_is_allowed(subject: Subject) -> None:
    """Where claimed: texts of a length, numbers within bounds, forms; each parses, whatever the weights say."""
    if not subject.info.capabilities.json_schema:
        return
    schema = {
        "type": "array", "minItems": 3, "maxItems": 3,
        "items": {"anyOf": [
            {"type": "string", "minLength": 2, "maxLength": 5}, {"type": "integer", "minimum": -3, "maximum": 12},
            {"type": "string", "format": "uuid"}, {"type": "null"},
        ]},
    }  # fmt: skip
    for n in range(4):
        sampling = Sampling(max_tokens=300, temperature=1.0, seed=n, json_schema=json.dumps(schema))
        answer = await read(subject, subject.prompt(n), sampling)
        value = json.loads(answer.text)
        assert len(value) == 3
        assert all(_fits(one) for one in value), value


def _fits(value: object) -> bool:
    if isinstance(value, str):
        return 2 <= len(value) <= 5 or len(value) == 36
    return value is None or (isinstance(value, int) and -3 <= value <= 12)


async def the_engine_says_what_it_is(subject: Subject) -> None:
    """Version, capacity and the facts a record needs."""
    info = subject.info
    assert info.engine_version
    assert info.max_num_seqs == 4
    assert (info.kv_tokens or 0) >= info.max_model_len
    assert {"device", "dtype", "torch"} <= info.details.keys()


async def greedy_output_is_the_known_sequence(subject: Subject) -> None:
    """The whole recital, up to and with its end token, which counts."""
    recital = _recital(subject)
    answer = await ask(subject, (recital.ring[0],), greedy(len(recital.ids) + 50, ignore_eos=False))
    assert answer.ids == [*recital.ids, recital.eos_id]
    assert (answer.last.finish, answer.last.stop_reason) == (FinishReason.STOP, recital.eos_id)
    assert answer.last.usage.completion_tokens == len(recital.ids) + 1


async def the_known_text_comes_out_whole(subject: Subject) -> None:
    """Characters of two, three and four bytes survive the stream; the end token shows no text."""
    recital = _recital(subject)
    answer = await read(subject, (recital.ring[0],), greedy(len(recital.ids) + 50, ignore_eos=False))
    assert answer.text == recital.text
    assert not any("\ufffd" in chunk.text for chunk in answer.chunks)


async def ignore_eos_goes_on_past_the_end(subject: Subject) -> None:
    """The ring goes on after eos, and so does the engine."""
    recital = _recital(subject)
    prompt = recital.prompt_for(5)
    answer = await ask(subject, prompt, greedy(12))
    assert answer.ids == recital.continue_after(prompt, max_tokens=12, ignore_eos=True)
    assert answer.last.finish is FinishReason.LENGTH


async def an_end_token_in_last_place_is_a_stop(subject: Subject) -> None:
    """eos as the very token that reaches max_tokens: the model stopped, it was not cut."""
    recital = _recital(subject)
    answer = await ask(subject, recital.prompt_for(5), greedy(5, ignore_eos=False))
    assert answer.ids[-1] == recital.eos_id
    assert answer.last.finish is FinishReason.STOP


async def min_tokens_forbids_an_earlier_end(subject: Subject) -> None:
    """Where claimed: eos would be first, it is not among the first three."""
    if not subject.info.capabilities.min_tokens:
        return
    recital = _recital(subject)
    answer = await ask(subject, recital.prompt_for(1), greedy(6, ignore_eos=False, min_tokens=3))
    assert len(answer.ids) >= 3
    assert recital.eos_id not in answer.ids[:3]


async def a_stop_word_of_the_known_text_is_found(subject: Subject) -> None:
    """The text before the word, exactly, and nothing left running."""
    recital = _recital(subject)
    stop = recital.text[40:48]
    sampling = greedy(len(recital.ids), ignore_eos=False, stop=("never said", stop))
    answer = await read(subject, (recital.ring[0],), sampling)
    assert answer.text == recital.text[: recital.text.index(stop)]
    assert answer.last.stop_reason == stop
    await slots_are_free(subject)


def _recital(subject: Subject) -> Recital:
    assert subject.recital is not None, "this check needs synthetic:successor"
    return subject.recital


ENGINE_CHECKS: tuple[Check, ...] = (
    an_unknown_token_id_is_refused,
    top_k_one_is_greedy_at_any_temperature,
    a_tiny_top_p_is_greedy_at_any_temperature,
    a_high_temperature_leaves_the_greedy_path,
    logprobs_come_with_every_token,
    given_tokens_are_scored_as_they_are_served,
    tokens_that_cannot_be_scored_are_refused,
    an_answer_fits_its_schema_and_ends_by_itself,
    a_schema_is_held_to_the_last_token_that_is_allowed,
    the_engine_says_what_it_is,
)
"""For engines that compute, on `synthetic:tiny`."""

RECITAL_CHECKS: tuple[Check, ...] = (
    greedy_output_is_the_known_sequence,
    the_known_text_comes_out_whole,
    ignore_eos_goes_on_past_the_end,
    an_end_token_in_last_place_is_a_stop,
    min_tokens_forbids_an_earlier_end,
    a_stop_word_of_the_known_text_is_found,
)
"""On `synthetic:successor`."""
