"""Which rates to try to find the highest that a client holds. Pure: `next_rate` asks, `note` answers.

Up by half while the rate is held; a rate counts as missed when it was missed twice (noise misses once); then between
the highest held and the lowest missed, until the steps are spent or the two are within a tenth.
"""

from dataclasses import dataclass, field

_UP = 1.5
_CLOSE = 1.1
_TRIES = 2
_LEAST = 1.0


@dataclass(slots=True, kw_only=True)
class Ladder:
    """`first_rate` in requests/s; at most `steps` trials."""

    first_rate: float
    steps: int
    held: float = 0.0
    missed: float = 0.0
    tries: dict[float, int] = field(default_factory=dict)

    def next_rate(self) -> float | None:
        """The rate to try now; None when done."""
        if sum(self.tries.values()) >= self.steps:
            return None
        rate = self._wanted()
        if rate < _LEAST or (self.held and self.missed and self.missed / self.held < _CLOSE):
            return None
        return rate

    def note(self, rate: float, *, is_held: bool) -> None:
        """What came of a trial at `rate`."""
        self.tries[rate] = self.tries.get(rate, 0) + 1
        if is_held:
            self.held = max(self.held, rate)
        elif self.tries[rate] >= _TRIES:
            self.missed = min(self.missed or rate, rate)

    def _wanted(self) -> float:
        for rate, tries in self.tries.items():
            if tries < _TRIES and rate > self.held and rate != self.missed:
                return rate
        if not self.tries:
            return self.first_rate
        if not self.missed:
            return tidy(self.held * _UP)
        return tidy((self.held + self.missed) / 2)


def tidy(rate: float) -> float:
    """Two significant digits."""
    return float(f"{rate:.2g}")
