"""A receiver of traces on a real socket that reads with OpenTelemetry's official classes."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A span as it was received, with the service that sent it."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, Any]
    error: str | None

    @property
    def lasted_ns(self) -> int:
        return self.ended_ns - self.began_ns


def read_request(body: bytes) -> list[Seen]:
    """The spans of a request."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Seen(
            service=_attributes(resource.resource.attributes)["service.name"],
            name=span.name, kind=span.kind, trace_id=span.trace_id.hex(), span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(), began_ns=span.start_time_unix_nano, ended_ns=span.end_time_unix_nano,
            attributes=_attributes(span.attributes), error=span.status.message if span.status.code == 2 else None,
        )
        for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
    ]  # fmt: skip


def _attributes(pairs: Sequence[Any]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)


@dataclass(slots=True)
class Sink:
    """What was received at `url`; `headers` of the last request; it answers with `status`."""

    url: str = ""
    status: int = 200
    spans: list[Seen] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def named(self, name: str) -> Seen:
        """The one span of that name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def under(self, parent: Seen) -> list[Seen]:
        """Its children, in order of time."""
        children = [span for span in self.spans if span.parent_id == parent.span_id]
        return sorted(children, key=lambda span: span.began_ns)


@contextmanager
def otlp_sink() -> Iterator[Sink]:
    """Receive while the block lasts."""
    sink = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            sink.headers = {name.lower(): value for name, value in self.headers.items()}
            if sink.status == 200:
                sink.spans += read_request(body)
            self.send_response(sink.status)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sink.url = f"http://127.0.0.1:{server.server_port}/v1/traces"
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
