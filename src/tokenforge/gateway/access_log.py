"""Which requests are logged: every failure, and of what went well every so manyth.

Failures beyond a rate are counted instead of written, so that a storm of them does not become a storm of writes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tokenforge.telemetry.logs import Value

WELL_EVERY = 100
FAILURES_A_SECOND = 50


@dataclass(slots=True, kw_only=True)
class AccessLog:
    """`write` takes what is told of one request; `clock` is monotonic seconds. One of `well_every` that went well."""

    write: Callable[[Mapping[str, Value]], None]
    clock: Callable[[], float]
    well_every: int = WELL_EVERY
    _well: int = 0
    _second: int = 0
    _failures: int = 0
    _untold: int = 0

    def wants(self, outcome: str) -> bool:
        """Whether a request that ended so is told."""
        if outcome == "ok":
            self._well += 1
            return self._well % self.well_every == 1 or self.well_every == 1
        second = int(self.clock())
        if second != self._second:
            self._second, self._failures = second, 0
        self._failures += 1
        if self._failures > FAILURES_A_SECOND:
            self._untold += 1
            return False
        return True

    def tell(self, facts: Mapping[str, Value]) -> None:
        """Write it down, and how many failures were not told before."""
        untold, self._untold = self._untold, 0
        self.write({**facts, "failures_not_told": untold} if untold else facts)
