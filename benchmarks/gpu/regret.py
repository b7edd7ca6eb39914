"""Regrets: how far below a reference's best logit chosen tokens were; are ours within the reference's own?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_SURE = 3.0
_TIE = 1e-4


@dataclass(slots=True)
class Regrets:
    """Regrets at places where something was missed; `places` counts all, `most` is the largest regret."""

    places: int = 0
    missed: list[float] = field(default_factory=list)

    def add(self, regrets: Sequence[float]) -> None:
        """The regrets of one answer; those below a tie are none."""
        self.places += len(regrets)
        self.missed += [regret for regret in regrets if regret > _TIE]

    @property
    def share(self) -> float:
        """The share of places that missed the best."""
        return len(self.missed) / self.places if self.places else 0.0

    @property
    def most(self) -> float:
        """The largest regret."""
        return max(self.missed, default=0.0)

    def told(self) -> dict[str, float]:
        """All of it in four numbers."""
        return {"places": self.places, "missed": len(self.missed), "share": self.share, "most": self.most}


def judged(ours: Regrets, floor: Regrets, *, is_exact: bool, equal: int, answers: int) -> dict[str, Any]:
    """Whether ours pass, and why. `is_exact`: only answers equal token by token do.

    Else our share of misses may exceed the floor's by three standard errors of their difference, and our largest regret
    may be twice the floor's: an extreme of as many places, by the same noise, is seldom twice another.
    """
    if is_exact:
        passes = equal == answers and not ours.missed
        return {"passes": passes, "why": f"{equal} of {answers} answers are equal token by token"}
    pooled = (len(ours.missed) + len(floor.missed)) / max(1, ours.places + floor.places)
    error = math.sqrt(pooled * (1 - pooled) * (1 / max(1, ours.places) + 1 / max(1, floor.places)))
    few = ours.share <= floor.share + _SURE * error
    small = ours.most <= 2 * floor.most
    why = (
        f"{ours.share:.2%} of {ours.places} tokens missed the referee's best, by {ours.most:.3g} logits at most; of "
        f"eager's own {floor.share:.2%}, by {floor.most:.3g} at most"
    )
    return {"passes": few and small, "why": why, "share": ours.share, "floor_share": floor.share}
