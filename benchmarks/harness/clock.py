"""From a client's wall-clock stamps to the monotonic clock of the truth server's log."""

import time


def wall_minus_monotonic_ns() -> int:
    """The distance of the two clocks now: the tightest of a few readings."""
    readings = []
    for _ in range(5):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        readings.append((after - before, wall - (before + after) // 2))
    return min(readings)[1]


def monotonic_ns(wall_s: float) -> int:
    """The monotonic time of a wall-clock time in seconds."""
    return int(wall_s * 1e9) - wall_minus_monotonic_ns()
