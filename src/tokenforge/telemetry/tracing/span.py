"""A span that has ended. Spans are made once, when a request is over, from stamps that were taken anyway."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

Value = str | bool | int | float | tuple[str, ...]


class SpanKind(enum.IntEnum):
    """OTLP's numbers."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """`began_ns` and `ended_ns` are of the monotonic clock of this process; `error` is why it failed, if it did."""

    name: str
    kind: SpanKind
    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, Value] = field(default_factory=dict)
    error: str | None = None
