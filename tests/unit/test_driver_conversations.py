"""Conversations in virtual time: a turn waits for the one before it, then for the user to think."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from tokenforge.bench.driver.conversations import ConversationSchedule, openers_of
from tokenforge.bench.driver.schedule import NEVER, ClosedSchedule, OpenSchedule

ORIGIN = 1_000


def open_talks(after: list[int], *, at_ns: list[int], think_ns: int = 10) -> ConversationSchedule:
    """Conversations whose first turns come at `at_ns`, begun at ORIGIN."""
    schedule = ConversationSchedule(
        OpenSchedule(array("q", at_ns)), after=after, think_ns=[think_ns] * len(after), is_planned=True
    )
    schedule.begin(ORIGIN)
    return schedule


def closed_talks(after: list[int], *, clients: int, duration_s: float | None = None) -> ConversationSchedule:
    """Conversations of a closed loop with 10 ns to think, begun at ORIGIN."""
    schedule = ConversationSchedule(
        ClosedSchedule(count=len(openers_of(after)), clients=clients, duration_s=duration_s),
        after=after,
        think_ns=[10] * len(after),
        is_planned=False,
        duration_s=duration_s,
    )
    schedule.begin(ORIGIN)
    return schedule


def test_a_later_turn_is_due_its_thinking_time_after_the_turn_before_it_ended() -> None:
    talks = open_talks([-1, 0], at_ns=[0])
    assert [talks.take(ORIGIN), talks.take(ORIGIN + 500)] == [0, None]
    talks.release(0, ORIGIN + 700)
    assert talks.due_ns == ORIGIN + 710
    assert [talks.take(ORIGIN + 709), talks.take(ORIGIN + 710)] == [None, 1]
    assert talks.scheduled_ns(1) == ORIGIN + 710


def test_a_first_turn_keeps_its_planned_time() -> None:
    talks = open_talks([-1, 0, -1], at_ns=[0, 30])
    talks.take(ORIGIN)
    assert talks.take(ORIGIN + 99) == 2
    assert (talks.scheduled_ns(0), talks.scheduled_ns(2)) == (ORIGIN, ORIGIN + 30)


def test_of_two_turns_that_are_due_the_earlier_is_sent_first() -> None:
    talks = open_talks([-1, 0, -1], at_ns=[0, 30])
    talks.take(ORIGIN)
    talks.release(0, ORIGIN + 5)
    assert [talks.take(ORIGIN + 99) for _ in range(3)] == [1, 2, None]


def test_an_open_plan_is_over_when_its_last_conversation_has_ended() -> None:
    talks = open_talks([-1, 0], at_ns=[0])
    talks.take(ORIGIN)
    talks.release(0, ORIGIN)
    assert not talks.is_over(ORIGIN + 5)
    talks.take(ORIGIN + 10)
    talks.release(1, ORIGIN + 20)
    assert (talks.is_over(ORIGIN + 20), talks.due_ns) == (True, NEVER)


def test_a_client_stays_with_its_conversation_to_the_last_turn() -> None:
    talks = closed_talks([-1, 0, -1], clients=1)
    assert [talks.take(ORIGIN), talks.take(ORIGIN)] == [0, None]
    talks.release(0, ORIGIN + 1)
    assert [talks.take(ORIGIN + 5), talks.take(ORIGIN + 11)] == [None, 1]
    talks.release(1, ORIGIN + 20)
    assert talks.take(ORIGIN + 20) == 2


def test_later_turns_of_a_closed_loop_have_no_planned_time() -> None:
    talks = closed_talks([-1, 0], clients=1)
    talks.take(ORIGIN)
    talks.release(0, ORIGIN)
    talks.take(ORIGIN + 10)
    assert (talks.scheduled_ns(0), talks.scheduled_ns(1)) == (None, None)


def test_the_end_of_a_closed_loop_s_time_ends_conversations_too() -> None:
    talks = closed_talks([-1, 0], clients=1, duration_s=1e-6)
    talks.take(ORIGIN)
    talks.release(0, ORIGIN + 995)
    assert talks.take(ORIGIN + 1_005) is None
    assert talks.is_over(ORIGIN + 1_005)


def test_a_stopped_conversation_does_not_go_on() -> None:
    talks = open_talks([-1, 0], at_ns=[0])
    talks.take(ORIGIN)
    talks.stop()
    talks.release(0, ORIGIN)
    assert (talks.take(NEVER), talks.is_over(ORIGIN)) == (None, True)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.integers(1, 4), st.booleans())
def test_every_turn_is_sent_once_and_after_the_one_before_it(turns: list[int], clients: int, is_open: bool) -> None:
    after = [position - 1 if turn else -1 for position, turn in _numbered(turns)]
    at_ns = [7 * number for number in range(len(turns))]
    talks = open_talks(after, at_ns=at_ns) if is_open else closed_talks(after, clients=clients)
    sent, in_flight, now_ns = [], [], ORIGIN
    while not talks.is_over(now_ns):
        while (position := talks.take(now_ns)) is not None:
            assert after[position] < 0 or (after[position] in sent and after[position] not in in_flight)
            sent.append(position)
            in_flight.append(position)
        if in_flight:
            talks.release(in_flight.pop(0), now_ns)
        now_ns += 3
        assert now_ns < ORIGIN + 100_000
    assert sorted(sent) == list(range(len(after)))


def _numbered(turns: list[int]) -> list[tuple[int, int]]:
    """(position, turn) over all conversations, one after another."""
    return [(position, turn) for position, turn in enumerate(turn for count in turns for turn in range(count))]
