"""Conversations: turns in order, prompts that grow, the same for every server."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from tokenforge.bench.plan import check_workload, plan_trial
from tokenforge.bench.prompts import PromptTokenizer
from tokenforge.domain.durations import ExponentialSeconds, FixedSeconds
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.plan import PlannedRequest, PromptForm, TrialPlan
from tokenforge.domain.workload import Arrival, Fixed, Uniform, Workload
from tokenforge.models.tokenizers import ModelTokenizer, load_tokenizer

TALKS = Workload(
    name="talks", qps=2, requests=30, turns=Fixed(value=3), think_time_s=FixedSeconds(value=1.5),
    prompt_len=Fixed(value=10), gen_tokens=Fixed(value=4),
)  # fmt: skip


class Letters:
    """One id per lower-case letter."""

    plain_ids = tuple(range(26))

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 97 for letter in text]

    def decode(self, ids: object) -> str:
        return "".join(chr(97 + i) for i in ids)  # type: ignore[attr-defined]


LETTERS = Letters()


@pytest.fixture(scope="session")
def tokenizer(models: Callable[[str], Path]) -> ModelTokenizer:
    return load_tokenizer(models("tiny"))


def plan(
    workload: Workload = TALKS,
    *,
    form: PromptForm = PromptForm.TOKEN_IDS,
    tokenizer: PromptTokenizer | None = LETTERS,
    window: int | None = None,
) -> TrialPlan:
    return plan_trial(workload, trial=0, seed=1, tokenizer=tokenizer, window=window, form=form)


def talks_of(plan: TrialPlan) -> list[list[PlannedRequest]]:
    """The requests of each conversation."""
    talks: list[list[PlannedRequest]] = []
    for request in plan.requests:
        if request.after is None:
            talks.append([])
        talks[-1].append(request)
    return talks


def test_turns_lie_side_by_side_and_each_follows_the_one_before() -> None:
    requests = plan().requests
    assert [request.index for request in requests] == list(range(30))
    assert [request.after for request in requests[:6]] == [None, 0, 1, None, 3, 4]


def test_only_first_turns_have_a_time_and_only_later_ones_are_thought_about() -> None:
    firsts = [request for request in plan().requests if request.after is None]
    later = [request for request in plan().requests if request.after is not None]
    times = [request.at_ns or 0 for request in firsts]
    assert times == sorted(times)
    assert {request.think_ns for request in firsts} == {0}
    assert {(request.at_ns, request.think_ns) for request in later} == {(None, 1_500_000_000)}


def test_the_rate_is_that_of_conversations() -> None:
    starts = [r.at_ns for r in plan(replace(TALKS, qps=20, requests=None, duration_s=60)).requests if r.after is None]
    assert len(starts) == pytest.approx(1200, abs=140)


def test_the_conversation_that_reaches_the_requests_is_the_last() -> None:
    assert len(plan(replace(TALKS, requests=31)).requests) == 33


def test_turns_may_be_drawn_and_clients_hold_conversations() -> None:
    closed = plan(replace(TALKS, arrival=Arrival.CONCURRENCY, qps=None, concurrency=4, turns=Uniform(low=1, high=5)))
    assert {len(talk) for talk in talks_of(closed)} == {1, 2, 3, 4, 5}
    assert {request.at_ns for request in closed.requests} == {None}
    assert closed.concurrency == 4


def test_a_prompt_holds_all_before_it_and_a_planned_answer_between() -> None:
    for talk in talks_of(plan()):
        assert [len(request.prompt_ids or ()) for request in talk] == [10, 24, 38]
        for before, after in pairwise(talk):
            assert (after.prompt_ids or ())[: before.prompt_tokens] == before.prompt_ids


def test_no_two_conversations_begin_alike() -> None:
    assert len({(talk[0].prompt_ids or ())[:2] for talk in talks_of(plan(replace(TALKS, requests=300)))}) == 100


def test_as_text_each_prompt_begins_with_the_one_before_and_is_exact_in_tokens(tokenizer: ModelTokenizer) -> None:
    for talk in talks_of(plan(form=PromptForm.TEXT, tokenizer=tokenizer)):
        texts = [request.prompt_text or "" for request in talk]
        assert [len(tokenizer.encode(text)) for text in texts] == [10, 24, 38]
        assert texts[1].startswith(texts[0])
        assert texts[2].startswith(texts[1])


def test_in_a_chat_user_and_assistant_speak_in_turn_with_exact_lengths(tokenizer: ModelTokenizer) -> None:
    for talk in talks_of(plan(form=PromptForm.MESSAGES, tokenizer=tokenizer)):
        messages = talk[2].messages or ()
        assert [role for role, _ in messages] == ["user", "assistant", "user", "assistant", "user"]
        assert [len(tokenizer.encode(content)) for _, content in messages] == [10, 4, 10, 4, 10]
        assert (talk[1].messages, talk[2].prompt_tokens) == (messages[:3], 38)


def test_without_a_tokenizer_conversations_are_words() -> None:
    first, second, _ = talks_of(plan(form=PromptForm.TEXT, tokenizer=None))[0]
    assert (second.prompt_text or "").startswith((first.prompt_text or "?") + " ")
    assert len((second.prompt_text or "").split()) == 24
    chat = talks_of(plan(form=PromptForm.MESSAGES, tokenizer=None))[0][1]
    assert [len(content.split()) for _, content in chat.messages or ()] == [10, 4, 10]


@pytest.mark.parametrize("form", [PromptForm.TOKEN_IDS, PromptForm.TEXT, PromptForm.MESSAGES])
def test_a_shared_prefix_begins_every_conversation(form: PromptForm) -> None:
    starts: set[object] = set()
    for request in plan(replace(TALKS, shared_prefix_tokens=6), form=form).requests:
        said = request.messages[0][1] if request.messages else request.prompt_text
        starts.add((request.prompt_ids or said or "")[:6])
    assert len(starts) == 1


def test_the_longest_conversation_must_fit_the_window() -> None:
    workload = replace(TALKS, turns=Uniform(low=1, high=5))
    check_workload(workload, seed=1, window=70)
    with pytest.raises(InvalidInput, match=r"5 x \(10 \+ 4\).*last turn of a conversation of 70 tokens .* of 69"):
        check_workload(workload, seed=1, window=69)


def test_the_digest_knows_turns_and_thinking() -> None:
    slower = replace(TALKS, think_time_s=FixedSeconds(value=2))
    drawn = replace(TALKS, think_time_s=ExponentialSeconds(mean=1.5))
    digests = {plan(workload).digest for workload in (TALKS, slower, drawn, replace(TALKS, turns=Fixed(value=2)))}
    assert len(digests) == 4
    assert plan().digest == plan().digest
    assert plan(form=PromptForm.MESSAGES).digest != plan(form=PromptForm.TEXT).digest


def test_a_closed_loop_ended_by_time_plans_no_more_tokens_than_memory_holds() -> None:
    long = replace(TALKS, arrival=Arrival.CONCURRENCY, qps=None, concurrency=64, requests=None, duration_s=600)
    closed = plan(replace(long, turns=Fixed(value=20), prompt_len=Fixed(value=300)))
    assert sum(request.prompt_tokens or 0 for request in closed.requests) <= 30_000_000
    assert f"{len(closed.requests):,} requests at most" in closed.notes[0]
