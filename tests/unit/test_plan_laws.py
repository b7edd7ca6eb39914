"""What holds for the plan of any workload, whatever is asked for together."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tokenforge.bench.plan import plan_trial
from tokenforge.domain.durations import Duration, ExponentialSeconds, FixedSeconds, UniformSeconds
from tokenforge.domain.plan import PlannedRequest, PromptForm, TrialPlan
from tokenforge.domain.workload import Arrival, Fixed, Length, LogNormal, Step, Uniform, Workload


class Letters:
    """One id per lower-case letter."""

    plain_ids = tuple(range(26))

    def encode(self, text: str) -> list[int]:
        return [ord(letter) - 97 for letter in text]

    def decode(self, ids: object) -> str:
        return "".join(chr(97 + i) for i in ids)  # type: ignore[attr-defined]


LETTERS = Letters()
RUSH = (Step(qps=2, duration_s=4), Step(qps=30, duration_s=2))
ARRIVALS = st.sampled_from(
    [
        Workload(name="w", qps=9),
        Workload(name="w", qps=9, arrival=Arrival.CONSTANT),
        Workload(name="w", qps=9, arrival=Arrival.GAMMA, burstiness=0.3),
        Workload(name="w", qps=0, arrival=Arrival.RAMP, ramp_to_qps=20, duration_s=9),
        Workload(name="w", arrival=Arrival.STEP, duration_s=6, steps=RUSH),
        Workload(name="w", arrival=Arrival.CONCURRENCY, concurrency=3),
    ]
)
LENGTHS: st.SearchStrategy[Length] = st.sampled_from(
    [Fixed(value=7), Uniform(low=6, high=12), LogNormal(mean=9, cv=0.4, low=6, high=30)]
)
PAUSES: st.SearchStrategy[Duration] = st.sampled_from(
    [FixedSeconds(value=0.5), ExponentialSeconds(mean=1, high=9), UniformSeconds(low=0, high=1)]
)
TURNS: st.SearchStrategy[Length | None] = st.sampled_from([None, Fixed(value=3), Uniform(low=1, high=4)])


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """Any arrivals with any lengths, turns, prefixes and hang-ups."""
    turns = draw(TURNS)
    return replace(
        draw(ARRIVALS), requests=draw(st.integers(1, 40)), prompt_len=draw(LENGTHS),
        gen_tokens=draw(LENGTHS), turns=turns, think_time_s=None if turns is None else draw(PAUSES),
        shared_prefix_tokens=draw(st.integers(0, 5)), shared_prefix_groups=draw(st.integers(1, 3)),
        cancel_share=draw(st.floats(0, 1)), cancel_after_s=draw(PAUSES),
    )  # fmt: skip


def plan(workload: Workload, form: PromptForm) -> TrialPlan:
    return plan_trial(workload, trial=0, seed=1, tokenizer=LETTERS, window=None, form=form)


def said(request: PlannedRequest) -> tuple[int, ...]:
    """The prompt as ids, in whichever form it travels."""
    if request.prompt_ids is not None:
        return request.prompt_ids
    text = "".join(content for _, content in request.messages or ()) or request.prompt_text or ""
    return tuple(LETTERS.encode(text))


@settings(max_examples=60, deadline=None)
@given(workload=workloads(), form=st.sampled_from(PromptForm))
def test_turns_follow_each_other_and_time_goes_forward(workload: Workload, form: PromptForm) -> None:
    requests = plan(workload, form).requests
    assert [request.index for request in requests] == list(range(len(requests)))
    assert all(request.after in {None, request.index - 1} for request in requests)
    starts = [request.at_ns for request in requests if request.after is None and request.at_ns is not None]
    assert starts == sorted(starts)
    assert all(request.at_ns is None for request in requests if request.after is not None)
    assert (workload.turns is None) <= all(request.after is None for request in requests)


@settings(max_examples=60, deadline=None)
@given(workload=workloads(), form=st.sampled_from(PromptForm))
def test_a_prompt_is_as_long_as_it_says_and_holds_the_one_before(workload: Workload, form: PromptForm) -> None:
    requests = plan(workload, form).requests
    for request in requests:
        ways = (request.prompt_ids, request.prompt_text, request.messages)
        assert Counter(way is None for way in ways) == {True: 2, False: 1}
        assert len(said(request)) == request.prompt_tokens
        if request.after is not None:
            before = requests[request.after]
            assert said(request)[: before.prompt_tokens] == said(before)
            assert len(said(request)) > len(said(before)) + before.gen_tokens


@settings(max_examples=30, deadline=None)
@given(workload=workloads())
def test_every_form_says_the_same_and_a_plan_repeats_itself(workload: Workload) -> None:
    ids, text, chat = (plan(workload, form) for form in PromptForm)
    assert [said(r) for r in ids.requests] == [said(r) for r in text.requests] == [said(r) for r in chat.requests]
    assert plan(workload, PromptForm.TOKEN_IDS).digest == ids.digest
