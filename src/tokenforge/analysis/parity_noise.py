"""How far two right engines may differ: the rounding of their number format, on top of the reference's own noise.

Rounding is relative, so all is measured against the reference's spread: how far its first choice stands above chance.
A flat model (random weights) has a spread of 1 or 2 nats, a trained one about 10; the same format moves both by the
same share. `docs/concepts/parity.md` has the measurements behind the factors.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tokenforge.domain.parity import TeacherForced

_ROUNDING = {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
"""Unit roundoff: the largest relative error of one rounding."""

_ALIASES = {"fp32": "float32", "float": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16"}

WIDEST = "bfloat16"
"""The coarsest format that is allowed for. Weights of 8 or 4 bits get no more: they may pass, they are not excused."""

_ROUNDINGS_SHARE = 2.5
"""Allowed mean difference in roundoffs. Measured: 0.7 to 1.8 over 3 to 80 layers; 4-bit weights make 18 and more."""

_LEAST_SHARE = 1e-4
"""The order of summing alone, and answers printed as 32-bit numbers, cost about a hundredth of this."""

_LEAST_KL_SHARE = 1e-6
_SQUARE = 10.0
"""A divergence grows with the square of a difference: 1 to 12 squared roundoffs were seen, 62 are allowed."""

_CLEAR = 2.0
_TIE = 4.0
_FLOORS = 3.0
"""Leads in units of the allowed difference, and floors for each. A lead is the difference of two errors: when the mean
error is all that is allowed, its standard deviation is 1.8 such units. Clear choices are counted over every token, so
their limit is a rate and 2 will do; an answer parts once, where the lead is likely large: 4."""

CLEAR_SHARE = 0.01
HARD_SHARE = 0.10
ENDING_SHARE = 0.10
"""Allowed beyond the floor: places with another clear choice, answers with a hard difference, lengths and endings."""

_UNSTEADY_SHARE = 0.05
_UNSTEADY_HARD = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What `number_format` allows: the limits of each measure."""

    number_format: str
    mean_abs_dlogprob: float
    kl_share: float
    clear_disagreement: float

    def as_limits(self) -> Mapping[str, float]:
        """The limits by the name of their measure."""
        return {
            "mean_abs_dlogprob": self.mean_abs_dlogprob,
            "kl_share": self.kl_share,
            "clear_disagreement": self.clear_disagreement,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Leads:
    """From which lead on a choice is clear, and up to which one answers may part, in nats."""

    clear_nats: float
    tie_nats: float


def coarser_format(first: str | None, second: str | None) -> str:
    """The format whose rounding explains most; one that is not told counts as the widest."""
    return max((_known(first), _known(second)), key=_ROUNDING.__getitem__)


def leads(number_format: str, *, spread_nats: float, floor_nats: float) -> Leads:
    """How near two choices must be for rounding to turn them."""
    unit = _share(number_format) * spread_nats + _FLOORS * floor_nats
    return Leads(clear_nats=_CLEAR * unit, tie_nats=_TIE * unit)


def allowance(number_format: str, floor: TeacherForced) -> Allowance:
    """The limits: the reference's own noise, and the format's rounding on top."""
    share = _share(number_format)
    return Allowance(
        number_format=number_format,
        mean_abs_dlogprob=floor.mean_abs_dlogprob + share * floor.spread_nats,
        kl_share=max(0.0, floor.kl_share) + max(_SQUARE * share * share, _LEAST_KL_SHARE),
        clear_disagreement=floor.clear_disagreement + CLEAR_SHARE,
    )


def is_unsteady(floor: TeacherForced | None, *, hard_rate: float) -> bool:
    """Whether the reference differs from itself so much that nothing can be held against another."""
    if floor is not None and floor.mean_abs_dlogprob > _UNSTEADY_SHARE * floor.spread_nats:
        return True
    return hard_rate > _UNSTEADY_HARD


def _share(number_format: str) -> float:
    return max(_ROUNDINGS_SHARE * _ROUNDING[number_format], _LEAST_SHARE)


def _known(name: str | None) -> str:
    plain = (name or WIDEST).lower().removeprefix("torch.")
    plain = _ALIASES.get(plain, plain)
    return plain if plain in _ROUNDING else WIDEST
