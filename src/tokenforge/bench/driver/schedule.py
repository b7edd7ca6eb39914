"""Which request is due when. An open loop follows the plan's times whatever the server does; a closed loop has clients.

Pure: time comes in, positions go out. Positions are places in the job file, not indexes of the plan.
"""

from array import array
from typing import Protocol

NEVER = 1 << 62


class Schedule(Protocol):
    """What the loop asks. `due_ns` is when the next request is due (NEVER: not before something else happens)."""

    due_ns: int

    def begin(self, origin_ns: int) -> None:
        """The trial starts at `origin_ns` of the monotonic clock; before, nothing is due."""

    def take(self, now_ns: int) -> int | None:
        """The position of a request due at `now_ns`, which then counts as sent; None when there is none."""

    def release(self, position: int, end_ns: int) -> None:
        """The request at `position` ended at `end_ns`, however."""

    def scheduled_ns(self, position: int) -> int | None:
        """The planned time of a request; None in a closed loop."""

    def stop(self) -> None:
        """Send nothing more."""

    def is_over(self, now_ns: int) -> bool:
        """Nothing more will ever be due."""


class OpenSchedule:
    """Requests at their times, `at_ns` counted from the origin, in order."""

    def __init__(self, at_ns: "array[int]") -> None:
        self._at_ns = at_ns
        self._origin_ns = 0
        self._next = 0
        self.due_ns = NEVER

    def begin(self, origin_ns: int) -> None:
        """Aim at the first."""
        self._origin_ns = origin_ns
        self._aim()

    def take(self, now_ns: int) -> int | None:
        """The next request, once its time has come."""
        if now_ns < self.due_ns:
            return None
        self._next += 1
        self._aim()
        return self._next - 1

    def release(self, position: int, end_ns: int) -> None:
        """An answer changes nothing here: that is what open means."""

    def scheduled_ns(self, position: int) -> int | None:
        """On the monotonic clock."""
        return self._origin_ns + self._at_ns[position]

    def stop(self) -> None:
        """Forget the rest."""
        self._next = len(self._at_ns)
        self.due_ns = NEVER

    def is_over(self, now_ns: int) -> bool:
        """All were taken."""
        return self._next >= len(self._at_ns)

    def _aim(self) -> None:
        more = self._next < len(self._at_ns)
        self.due_ns = self._origin_ns + self._at_ns[self._next] if more else NEVER


class ClosedSchedule:
    """`clients` of them, each sending when its last request ended, for `duration_s` or to the plan's end."""

    def __init__(self, *, count: int, clients: int, duration_s: float | None) -> None:
        self._count = count
        self._free = clients
        self._duration_s = duration_s
        self._next = 0
        self._origin_ns = 0
        self._until_ns = NEVER
        self.due_ns = NEVER

    def begin(self, origin_ns: int) -> None:
        """All clients are free, and due at the origin."""
        self._origin_ns = origin_ns
        if self._duration_s is not None:
            self._until_ns = origin_ns + int(self._duration_s * 1e9)
        self.due_ns = origin_ns if self._count and self._free else NEVER

    def take(self, now_ns: int) -> int | None:
        """The next request, if a client is free."""
        if now_ns < self.due_ns or self.is_over(now_ns):
            return None
        self._free -= 1
        self._next += 1
        if not self._free or self._next >= self._count:
            self.due_ns = NEVER
        return self._next - 1

    def release(self, position: int, end_ns: int) -> None:
        """A client is free again, and due at once."""
        self._free += 1
        if self._next < self._count:
            self.due_ns = self._origin_ns

    def scheduled_ns(self, position: int) -> int | None:
        """A closed loop plans no times."""
        return None

    def stop(self) -> None:
        """Forget the rest."""
        self._next = self._count
        self.due_ns = NEVER

    def is_over(self, now_ns: int) -> bool:
        """All were taken, or the time is up."""
        if now_ns >= self._until_ns:
            self.stop()
        return self._next >= self._count
