"""Time for the driver: a nanosecond timer in epoll, and kernel receive stamps brought onto the monotonic clock.

epoll's own timeout counts whole milliseconds, too coarse for a schedule; a timerfd has the kernel's high resolution.
Kernel stamps are wall-clock time, so the distance between the two clocks is measured often. A stamp that cannot be true
(after the read that delivered it, or long before) is not used: a stepped wall clock never reaches a record.
"""

import ctypes
import os
import socket
import struct
import time

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_SPEC = struct.Struct("qqqq")
_TIMESPEC = struct.Struct("qq")
_SO_TIMESTAMPNS = 35
_NS = 1_000_000_000
_STEP_NS = 1_000_000
_FUTURE_SLACK_NS = 20_000_000
_OLDEST_NS = 5 * _NS

ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)

Ancillary = list[tuple[int, int, bytes]]


class ScheduleTimer:
    """A timerfd on the monotonic clock. Armed, its fd becomes readable at that time and stays so until armed again."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")

    def arm(self, at_ns: int) -> None:
        """Fire at `at_ns` (at once when that is past); 0 disarms."""
        self._libc.timerfd_settime(self.fd, _ABSOLUTE, _SPEC.pack(0, 0, at_ns // _NS, at_ns % _NS), None)

    def close(self) -> None:
        """Give the fd back."""
        os.close(self.fd)


class ReceiveClock:
    """Turns what a read brought into monotonic ns. `steps` counts jumps of the wall clock seen between two syncs."""

    __slots__ = ("_offset", "_offset_before", "reads", "steps", "user_stamps")

    def __init__(self) -> None:
        self._offset = self._offset_before = _wall_minus_monotonic()
        self.steps = 0
        self.reads = 0
        self.user_stamps = 0

    def sync(self) -> None:
        """Measure the distance of the clocks again; both are slewed alike, so it changes by steps alone."""
        offset = _wall_minus_monotonic()
        if abs(offset - self._offset) > _STEP_NS:
            self.steps += 1
            self._offset_before = self._offset
        self._offset = offset

    def stamp(self, ancillary: Ancillary, user_ns: int) -> int:
        """When the last byte of a read reached the kernel; `user_ns`, taken before the read, if unknown."""
        self.reads += 1
        for _, kind, data in ancillary:
            if kind == _SO_TIMESTAMPNS and len(data) == _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack(data)
                at_ns: int = seconds * _NS + nanoseconds - self._offset
                if self.steps:
                    at_ns = self._nearest(at_ns, user_ns)
                if user_ns - _OLDEST_NS < at_ns < user_ns + _FUTURE_SLACK_NS:
                    return at_ns
        self.user_stamps += 1
        return user_ns

    def _nearest(self, at_ns: int, user_ns: int) -> int:
        """After a step a stamp may be of the clock before it: that reading counts which is nearer to the read."""
        before_ns = at_ns + self._offset - self._offset_before
        return min(at_ns, before_ns, key=lambda stamp: abs(user_ns - stamp))


def ask_for_kernel_stamps(sock: socket.socket) -> None:
    """Have the kernel stamp what `sock` receives; where it cannot, user stamps are used and counted."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return


def _wall_minus_monotonic() -> int:
    """The tightest of three readings, so that being descheduled between the two clocks does not count."""
    best, best_width = 0, 1 << 62
    for _ in range(3):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        if after - before < best_width:
            best, best_width = wall - (before + after) // 2, after - before
    return best
