"""Schedules in virtual time: who is due when."""

from array import array

from tokenforge.bench.driver.schedule import NEVER, ClosedSchedule, OpenSchedule

ORIGIN = 1_000


def test_an_open_loop_sends_each_request_at_its_time_and_not_before() -> None:
    schedule = OpenSchedule(array("q", [0, 5, 5, 9]))
    schedule.begin(ORIGIN)
    taken = [(now, schedule.take(ORIGIN + now)) for now in (0, 4, 5, 5, 8, 30)]
    assert taken == [(0, 0), (4, None), (5, 1), (5, 2), (8, None), (30, 3)]
    assert schedule.is_over(ORIGIN)


def test_a_late_open_loop_keeps_the_planned_times() -> None:
    schedule = OpenSchedule(array("q", [0, 5]))
    schedule.begin(ORIGIN)
    assert [schedule.take(ORIGIN + 500) for _ in range(3)] == [0, 1, None]
    assert schedule.scheduled_ns(1) == ORIGIN + 5


def test_answers_do_not_move_an_open_loop() -> None:
    schedule = OpenSchedule(array("q", [0, 5]))
    schedule.begin(ORIGIN)
    schedule.take(ORIGIN)
    schedule.release(0, ORIGIN)
    assert schedule.due_ns == ORIGIN + 5


def test_nothing_is_due_before_the_trial_begins() -> None:
    assert OpenSchedule(array("q", [0])).take(5) is None
    assert ClosedSchedule(count=1, clients=1, duration_s=None).take(5) is None


def test_a_stopped_schedule_is_over() -> None:
    schedule = OpenSchedule(array("q", [0, 5]))
    schedule.begin(ORIGIN)
    schedule.stop()
    assert (schedule.is_over(0), schedule.due_ns, schedule.take(ORIGIN + 9)) == (True, NEVER, None)


def test_an_empty_plan_is_over_at_once() -> None:
    schedule = OpenSchedule(array("q"))
    schedule.begin(ORIGIN)
    assert (schedule.is_over(ORIGIN), schedule.due_ns) == (True, NEVER)


def test_a_closed_loop_sends_when_a_client_is_free() -> None:
    schedule = ClosedSchedule(count=4, clients=2, duration_s=None)
    schedule.begin(ORIGIN)
    assert [schedule.take(ORIGIN) for _ in range(3)] == [0, 1, None]
    assert schedule.due_ns == NEVER
    schedule.release(0, ORIGIN)
    assert [schedule.take(ORIGIN + 1) for _ in range(2)] == [2, None]


def test_a_closed_loop_ends_with_its_plan() -> None:
    schedule = ClosedSchedule(count=1, clients=3, duration_s=None)
    schedule.begin(ORIGIN)
    schedule.take(ORIGIN)
    schedule.release(0, ORIGIN)
    assert (schedule.is_over(ORIGIN), schedule.due_ns) == (True, NEVER)


def test_a_closed_loop_ends_with_its_time() -> None:
    schedule = ClosedSchedule(count=9, clients=1, duration_s=1e-6)
    schedule.begin(ORIGIN)
    assert schedule.take(ORIGIN) == 0
    schedule.release(0, ORIGIN)
    assert schedule.take(ORIGIN + 1_000) is None
    assert schedule.is_over(ORIGIN + 1_000)


def test_a_closed_loop_plans_no_times() -> None:
    assert ClosedSchedule(count=1, clients=1, duration_s=None).scheduled_ns(0) is None
