"""How far another machine's clock is from ours, with proven bounds, from messages that both have stamped. Pure.

What was sent before it was seen bounds the offset from one side, the answer from the other; no assumption about the
time a message takes is made, and none that both ways take equally long. The more rounds, the narrower.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A message to another machine and its answer: stamps of ours outside, of its own clock inside. All in ns."""

    sent_ns: int
    seen_there_ns: int
    answered_there_ns: int
    heard_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """Its clock minus ours lies within `at_ns` plus or minus `bound_ns`."""

    at_ns: int
    bound_ns: int


def offset_of(rounds: Iterable[Round]) -> Offset:
    """The middle of what all rounds allow. Raises ValueError for none, or for rounds that contradict each other."""
    listed = tuple(rounds)
    if not listed:
        raise ValueError("no message was exchanged, so the clocks cannot be compared")
    most = min(one.seen_there_ns - one.sent_ns for one in listed)
    least = max(one.answered_there_ns - one.heard_ns for one in listed)
    if most < least:
        raise ValueError(f"the clocks went apart by {(least - most) / 1e6:g} ms while they were compared")
    return Offset(at_ns=(most + least) // 2, bound_ns=(most - least + 1) // 2)
