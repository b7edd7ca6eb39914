"""How often a driver looks at its sockets: seldom enough to take many arrivals at once, often enough to part them.

The kernel stamps what arrives, so a stamp is as true if the read comes later; one wake-up and one look at many sockets
cost little more than at one. Two chunks of one stream must not wait together (they would be merged into one stamp), so
the pause follows the gap between the chunks of a stream, as seen lately. Pure.
"""

_FIRST_NS = 100_000
_SHARE_OF_GAP = 0.15
_FEWEST_READS = 20


class Pace:
    """`pause_ns`: the time from one look to the next, at most `longest_ns`."""

    def __init__(self, *, longest_ns: int) -> None:
        self._longest_ns = longest_ns
        self.pause_ns = min(_FIRST_NS, longest_ns)

    def note(self, *, reads: int, streams: int, over_ns: int) -> None:
        """`streams` in flight brought `reads` over that time. Too few reads say nothing, and change nothing."""
        if reads >= _FEWEST_READS:
            gap_ns = over_ns * max(1, streams) / reads
            self.pause_ns = min(self._longest_ns, int(gap_ns * _SHARE_OF_GAP))
