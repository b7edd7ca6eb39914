"""Kernel stamps on the monotonic clock, and the timer's precision."""

import select
import struct
import time

from tokenforge.bench.driver.clock import ReceiveClock, ScheduleTimer

SO_TIMESTAMPNS = 35


def stamp_of(wall_ns: int) -> list[tuple[int, int, bytes]]:
    """Ancillary data as the kernel gives it."""
    return [(1, SO_TIMESTAMPNS, struct.pack("qq", wall_ns // 10**9, wall_ns % 10**9))]


def test_a_kernel_stamp_comes_out_on_the_monotonic_clock() -> None:
    clock = ReceiveClock()
    at_ns, now_ns = clock.stamp(stamp_of(time.time_ns()), time.monotonic_ns()), time.monotonic_ns()
    assert abs(now_ns - at_ns) < 5_000_000
    assert (clock.reads, clock.user_stamps) == (1, 0)


def test_without_a_kernel_stamp_the_user_s_is_taken_and_counted() -> None:
    clock = ReceiveClock()
    assert clock.stamp([], 123) == 123
    assert clock.user_stamps == 1


def test_a_stamp_of_a_stepped_wall_clock_is_not_believed() -> None:
    clock, now_ns = ReceiveClock(), time.monotonic_ns()
    for step_s in (-3600, 1, 3600):
        assert clock.stamp(stamp_of(time.time_ns() + step_s * 10**9), now_ns) == now_ns
    assert clock.user_stamps == 3


def test_steady_clocks_show_no_step() -> None:
    clock = ReceiveClock()
    for _ in range(5):
        clock.sync()
    assert clock.steps == 0


def test_the_timer_fires_at_its_time_not_before() -> None:
    timer, epoll = ScheduleTimer(), select.epoll()
    epoll.register(timer.fd, select.EPOLLIN)
    due_ns = time.monotonic_ns() + 3_400_000
    timer.arm(due_ns)
    events = epoll.poll(1)
    late_ns = time.monotonic_ns() - due_ns
    timer.close()
    epoll.close()
    assert len(events) == 1
    assert 0 <= late_ns < 50_000_000


def test_a_disarmed_timer_is_silent() -> None:
    timer, epoll = ScheduleTimer(), select.epoll()
    epoll.register(timer.fd, select.EPOLLIN)
    timer.arm(1)
    timer.arm(0)
    events = epoll.poll(0)
    timer.close()
    epoll.close()
    assert events == []


def test_a_stamp_from_before_a_step_is_read_by_the_clock_it_was_taken_with() -> None:
    clock, now_ns = ReceiveClock(), time.monotonic_ns()
    old = stamp_of(time.time_ns())
    clock._offset_before, clock._offset = clock._offset, clock._offset + 700_000_000
    clock.steps = 1
    assert abs(clock.stamp(old, now_ns) - now_ns) < 5_000_000
