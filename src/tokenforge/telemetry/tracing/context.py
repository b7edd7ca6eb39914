"""W3C trace context: which trace a request belongs to, which span asked for it, and whether it is recorded."""

import re
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01
_FORBIDDEN = 0xFF


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of a trace: the one that asks, or one of ours."""

    trace_id: bytes
    span_id: bytes
    is_sampled: bool

    def header(self) -> str:
        """As `traceparent`."""
        return f"00-{self.trace_id.hex()}-{self.span_id.hex()}-{_SAMPLED if self.is_sampled else 0:02x}"


def read_traceparent(text: str) -> TraceContext | None:
    """What a header says; None for none, or one that breaks the rules (then a new trace begins)."""
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace, span, flags, rest = match.groups()
    is_known = int(version, 16) != _FORBIDDEN and not (version == "00" and rest)
    if not is_known or set(trace) == {"0"} or set(span) == {"0"}:
        return None
    return TraceContext(bytes.fromhex(trace), bytes.fromhex(span), bool(int(flags, 16) & _SAMPLED))
