"""Decides which requests are traced, and gives spans their ids. Who asked decides; else a share of requests is."""

import random
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tokenforge.domain.observing import Observing
from tokenforge.telemetry.tracing.context import TraceContext, read_traceparent
from tokenforge.telemetry.tracing.exporter import Exporter, post_to
from tokenforge.telemetry.tracing.span import Span, SpanKind, Value


@dataclass(slots=True, kw_only=True)
class Trace:
    """One request's part of a trace in this process: its root span's context, and spans that have ended."""

    root: TraceContext
    parent_id: bytes
    tracer: "Tracer"
    spans: list[Span] = field(default_factory=list)

    def new_id(self) -> bytes:
        """An id for a span."""
        return self.tracer.new_id(8)

    def context(self, span_id: bytes) -> TraceContext:
        """The context that a span of this trace passes on."""
        return TraceContext(self.root.trace_id, span_id, True)

    def add(
        self, name: str, began_ns: int, ended_ns: int, *, parent_id: bytes, span_id: bytes = b"",
        kind: SpanKind = SpanKind.INTERNAL, attributes: Mapping[str, Value] | None = None, error: str | None = None,
    ) -> None:  # fmt: skip
        """A span that has ended."""
        self.spans.append(
            Span(
                name=name, kind=kind, trace_id=self.root.trace_id, span_id=span_id or self.new_id(),
                parent_id=parent_id, began_ns=began_ns, ended_ns=max(began_ns, ended_ns), attributes=attributes or {},
                error=error,
            )
        )  # fmt: skip

    def end(
        self, name: str, began_ns: int, *, attributes: Mapping[str, Value], error: str | None, ended_ns: int = 0
    ) -> None:
        """The root is over: hand all spans over."""
        self.add(
            name, began_ns, ended_ns or time.monotonic_ns(), parent_id=self.parent_id, span_id=self.root.span_id,
            kind=SpanKind.SERVER, attributes=attributes, error=error,
        )  # fmt: skip
        self.tracer.hand_over(self.spans)


class Tracer:
    """One process's. `share` of the requests whose caller did not decide are traced."""

    def __init__(self, exporter: Exporter, *, share: float, chance: random.Random) -> None:
        self._exporter = exporter
        self._share = share
        self._chance = chance

    def begin(self, traceparent: str) -> Trace | None:
        """The trace of a request with this header; None when it is not traced."""
        asked = read_traceparent(traceparent) if traceparent else None
        if asked is None:
            if self._chance.random() >= self._share:
                return None
            asked = TraceContext(self.new_id(16), b"", True)
        elif not asked.is_sampled:
            return None
        root = TraceContext(asked.trace_id, self.new_id(8), True)
        return Trace(root=root, parent_id=asked.span_id, tracer=self)

    def new_id(self, size: int) -> bytes:
        """An id that is not all zeros."""
        return (self._chance.getrandbits(8 * size) or 1).to_bytes(size, "big")

    def hand_over(self, spans: Sequence[Span]) -> None:
        """Send them, some time."""
        self._exporter.take(spans)

    def close(self) -> None:
        """Send what waits."""
        self._exporter.close()


def make_tracer(observing: Observing, *, service: str, version: str, instance: str) -> Tracer | None:
    """A tracer where traces are asked for, else None. `service` and `instance` say which process it is."""
    if observing.traces_url is None:
        return None
    resource = {"service.name": service, "service.version": version, "service.instance.id": instance}
    send = post_to(observing.traces_url, observing.trace_headers)
    exporter = Exporter(send, resource=resource, version=version)
    return Tracer(exporter, share=observing.trace_share, chance=random.Random(secrets.randbits(128)))
