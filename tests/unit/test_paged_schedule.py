"""Which sequences a step of the paged engine computes, and what each one holds."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from tokenforge.domain.generation import Sampling
from tokenforge.runtimes.paged.schedule import Decode, Prefill, Schedule, Sequence

_begins = itertools.count(1_000, 1_000)


def schedule(*, pages: int = 33, page_tokens: int = 4, batch_tokens: int = 16, max_num_seqs: int = 4) -> Schedule:
    """32 usable pages of 4 tokens unless said otherwise."""
    return Schedule(pages=pages, page_tokens=page_tokens, batch_tokens=batch_tokens, max_num_seqs=max_num_seqs)


def sequence(
    prompt: int = 8, answer: int = 4, *, key: str = "s", eos: tuple[int, ...] = (), begin: int | None = None
) -> Sequence:
    """A request of so many prompt and answer tokens. Its prompt counts from `begin`; unsaid, it is like no other's."""
    first = next(_begins) if begin is None else begin
    return Sequence(
        key=key,
        prompt=tuple(range(first, first + prompt)),
        sampling=Sampling(max_tokens=answer),
        eos_ids=frozenset(eos),
        on_output=lambda _: None,
    )


def spans(step: object) -> list[tuple[str, int, int]]:
    """Key, start and end of each chunk of a prefill."""
    assert isinstance(step, Prefill)
    return [(chunk.sequence.key, chunk.start, chunk.end) for chunk in step.chunks]


def run(plan: Schedule, *, token: int = 7, steps: int = 10_000) -> list[Prefill | Decode]:
    """Do every step, as the engine does: each step's tokens come back after the next one was planned."""
    done: list[Prefill | Decode] = []
    before: Prefill | Decode | None = None
    for _ in range(steps):
        step = plan.next_step()
        for maker in before.makers if before is not None else ():
            if not maker.is_over and maker.take(token):
                plan.release(maker)
        if step is None and before is None:
            return done
        done += [step] if step is not None else []
        before = step
    raise AssertionError("it never ended")


def test_prompts_are_packed_in_order_and_the_last_one_is_cut_at_the_batch() -> None:
    plan = schedule()
    for number in range(3):
        plan.add(sequence(6, key=str(number)))
    assert spans(plan.next_step()) == [("0", 0, 6), ("1", 0, 6), ("2", 0, 4)]


def test_a_long_prompt_is_prefilled_in_chunks_and_makes_its_token_with_the_last() -> None:
    plan = schedule()
    plan.add(sequence(40, answer=1))
    steps = run(plan)
    assert [spans(step) for step in steps] == [[("s", 0, 16)], [("s", 16, 32)], [("s", 32, 40)]]
    assert [len(step.makers) for step in steps] == [0, 0, 1]


def test_decoding_goes_on_between_the_chunks_of_a_long_prompt() -> None:
    plan = schedule()
    plan.add(sequence(8, answer=6, key="short"))
    plan.next_step()
    plan.add(sequence(48, key="long"))
    kinds = [type(plan.next_step()).__name__ for _ in range(6)]
    assert kinds == ["Decode", "Prefill", "Decode", "Prefill", "Decode", "Prefill"]


def test_no_step_is_planned_beyond_the_longest_answer() -> None:
    plan = schedule()
    plan.add(sequence(8, answer=3))
    assert [type(step).__name__ for step in run(plan)] == ["Prefill", "Decode", "Decode"]


def test_an_end_token_ends_the_sequence_and_the_step_already_under_way_is_thrown_away() -> None:
    plan = schedule()
    ends = sequence(8, answer=20, eos=(7,))
    plan.add(ends)
    assert [type(step).__name__ for step in run(plan, token=7)] == ["Prefill", "Decode"]
    assert ends.tokens == [7]


def test_a_sequence_waits_until_the_pages_of_its_whole_answer_are_free() -> None:
    plan = schedule(pages=6)
    first, second = sequence(8, answer=8, key="first"), sequence(8, answer=4, key="second")
    plan.add(first)
    plan.add(second)
    assert spans(plan.next_step()) == [("first", 0, 8)]
    assert isinstance(plan.next_step(), Decode)
    plan.release(first)
    assert spans(plan.next_step()) == [("second", 0, 8)]


def test_no_more_sequences_run_than_there_are_slots() -> None:
    plan = schedule(max_num_seqs=2)
    for number in range(3):
        plan.add(sequence(2, key=str(number)))
    assert len(spans(plan.next_step())) == 2
    assert [waiting.key for waiting in plan.waiting] == ["2"]


def test_a_waiting_sequence_can_be_cancelled() -> None:
    plan = schedule()
    gone = sequence()
    plan.add(gone)
    plan.release(gone)
    assert plan.next_step() is None


def test_what_was_released_twice_is_given_back_once() -> None:
    plan = schedule()
    plan.add(held := sequence())
    plan.next_step()
    plan.release(held)
    plan.release(held)
    assert plan.usage_ratio == 0.0
    assert not plan.running


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), min_size=1, max_size=12))
def test_every_request_gets_its_whole_answer_and_gives_back_all_it_held(sizes: list[tuple[int, int]]) -> None:
    plan = schedule(pages=20)
    asked = [sequence(prompt, answer, key=str(number)) for number, (prompt, answer) in enumerate(sizes)]
    for one in asked:
        plan.add(one)
    for step in run(plan):
        pages = [page for maker in step.makers for page in maker.pages]
        assert len(set(pages)) == len(pages)
        assert 0 not in pages
    assert [len(one.tokens) for one in asked] == [answer for _, answer in sizes]
    assert plan.usage_ratio == 0.0


def test_a_prompt_that_begins_like_an_earlier_one_computes_only_the_rest() -> None:
    plan = schedule()
    plan.add(sequence(10, answer=2, key="first", begin=0))
    run(plan)
    plan.add(sequence(12, answer=2, key="second", begin=0))
    assert spans(plan.next_step()) == [("second", 8, 12)]
    assert (plan.prefix_queries, plan.prefix_hits) == (22, 8)


def test_prompts_of_one_step_share_their_beginning_too() -> None:
    plan = schedule()
    plan.add(sequence(10, key="first", begin=0))
    plan.add(sequence(12, key="second", begin=0))
    step = plan.next_step()
    assert spans(step) == [("first", 0, 10), ("second", 8, 12)]
    assert isinstance(step, Prefill)
    first, second = (chunk.sequence for chunk in step.chunks)
    assert first.pages[:2] == second.pages[:2]
    assert all(chunk.is_first and chunk.is_last for chunk in step.chunks)


def test_the_next_turn_of_a_conversation_takes_over_the_answer_as_well() -> None:
    plan = schedule()
    first = sequence(10, answer=7, key="first", begin=0)
    plan.add(first)
    run(plan)
    turn = sequence(0, key="turn")
    turn.prompt = (*first.prompt, *first.tokens, 1, 2, 3)
    plan.add(turn)
    assert spans(plan.next_step()) == [("turn", 16, 20)]


def test_a_cancelled_prompt_leaves_what_was_computed_of_it() -> None:
    plan = schedule(batch_tokens=8)
    cancelled = sequence(30, key="cancelled", begin=0)
    plan.add(cancelled)
    plan.next_step()
    plan.release(cancelled)
    plan.add(sequence(30, key="again", begin=0))
    assert spans(plan.next_step()) == [("again", 8, 16)]
    assert plan.usage_ratio > 0


def test_without_sharing_every_prompt_is_computed_whole() -> None:
    plan = Schedule(pages=33, page_tokens=4, batch_tokens=16, max_num_seqs=4, is_sharing=False)
    for key in ("first", "second"):
        plan.add(sequence(8, key=key, begin=0))
    assert spans(plan.next_step()) == [("first", 0, 8), ("second", 0, 8)]
