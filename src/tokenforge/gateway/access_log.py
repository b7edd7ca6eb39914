"""One line of JSON for a request: every failure, and of what went well every so manyth. No prompt, no key, no body.

Failures beyond a rate are counted instead of written, so that a storm of them does not become a storm of writes.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WELL_EVERY = 100
FAILURES_A_SECOND = 50


@dataclass(slots=True, kw_only=True)
class AccessLog:
    """`write` takes one line; `clock` is monotonic seconds. One of `well_every` requests that went well is told."""

    write: Callable[[str], None]
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

    def tell(self, facts: Mapping[str, object]) -> None:
        """Write one line; what is None is not known and left out."""
        known = {name: value for name, value in facts.items() if value is not None}
        if self._untold:
            known["failures_not_told"], self._untold = self._untold, 0
        self.write(json.dumps({"event": "request", **known}, separators=(",", ":")))
