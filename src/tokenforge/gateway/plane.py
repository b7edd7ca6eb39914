"""The data plane: OpenAI's routes and `/infer`, with neither the database nor the control loop in the way.

It needs a Router, an Upstream and a Guard, and answers the paths of its `handlers`. Refuses to send a byte before a
worker has answered, so a failure until then is tried elsewhere or has its proper status.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tokenforge.domain.errors import DeadlineExceeded, Fault, InvalidInput
from tokenforge.gateway.access_log import AccessLog
from tokenforge.gateway.affinity import Hint
from tokenforge.gateway.body import BodyFields
from tokenforge.gateway.demand import DemandReporter
from tokenforge.gateway.guard import Guard, Use
from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.routing import Router
from tokenforge.gateway.upstream import Upstream
from tokenforge.gateway.upstream_answer import UpstreamFailed
from tokenforge.gateway.usage import Usage
from tokenforge.protocol.asgi import MAX_BODY_BYTES, header, request_id
from tokenforge.protocol.problem import Problem, problem_of
from tokenforge.telemetry.gateway_metrics import GatewayMetrics
from tokenforge.telemetry.logs import Value as Told
from tokenforge.telemetry.tracing.span import Value

if TYPE_CHECKING:
    from tokenforge.telemetry.tracing.tracer import Trace, Tracer

_log = logging.getLogger(__name__)

DEFAULT_DEADLINE_S = 600.0
MAX_DEADLINE_S = 3600.0
DEADLINE_HEADER = b"x-tokenforge-timeout-s"
RUNTIME_HEADER = b"x-tokenforge-runtime"
SESSION_HEADER = b"x-tokenforge-session"
_SCOPED = "/deployments/"
_NONE: Mapping[str, str] = {}


class Refusal(NamedTuple):
    """A worker's answer that was worth another try, kept in case that no other is better."""

    status: int
    body: bytes
    content_type: str
    retry_after: str


class Passage:
    """One request on its way through. `asked_s`: when a replica was asked last; `tries`: how many were.
    `tried` are replicas that have answered badly before a task took over, `refusal` and `failure` what came of it.

    Once its answer has begun an error can only be told in the stream, by the bytes that `tell_late` makes of it.
    """

    asked_s: float | None = None
    tries = 0
    tried: Collection[str] = ()
    refusal: Refusal | None = None
    failure: UpstreamFailed | None = None
    deployment: str | None = None
    model: str | None = None
    replica: str | None = None
    usage: Usage | None = None
    tell_late: Callable[[Problem], bytes] | None = None
    trace: "Trace | None" = None
    use: Use | None = None

    def __init__(self, exchange: Exchange, *, request_id: str, arrived_s: float) -> None:
        self.exchange = exchange
        path = exchange.head.path
        if path.startswith(_SCOPED):
            self.deployment, path = split_path(path)
        self.path = path
        self.request_id = request_id
        self.identity = request_id.encode("latin-1")
        self.arrived_s = arrived_s

    @property
    def runtime(self) -> str | None:
        """The runtime that the caller wants."""
        said = self.exchange.fields.get(RUNTIME_HEADER)
        return said.decode("latin-1") or None if said is not None else None

    @property
    def session(self) -> str:
        """The session that it belongs to, if it names one."""
        return self.exchange.fields.get(SESSION_HEADER, b"").decode("latin-1")

    def key(self) -> int | None:
        """What it shares with others, for replicas that have seen it before."""
        return Hint(self.session, BodyFields(self.exchange.body)).key()

    def whole(self, status: int, body: bytes, *, kind: str, headers: Mapping[str, str] = _NONE) -> None:
        """Send a whole answer."""
        self.exchange.whole(status, self._lines(kind, headers), body)

    def begin(self, status: int, *, kind: str, headers: Mapping[str, str]) -> None:
        """Send the head of a stream."""
        self.exchange.begin(status, self._lines(kind, headers), length=None)

    def forwarded(self, span_id: bytes = b"") -> bytes:
        """The header lines that a worker gets: what the body is, who asks, and the trace it belongs to.

        `span_id` is the span of ours that asks, where we trace.
        """
        lines = b"content-type: application/json\r\nx-request-id: %b\r\n" % self.identity
        fields, trace = self.exchange.fields, self.trace
        if trace is not None:
            lines += b"traceparent: %b\r\n" % trace.context(span_id).header().encode()
        elif b"traceparent" in fields:
            lines += b"traceparent: %b\r\n" % fields[b"traceparent"]
        if b"tracestate" in fields:
            lines += b"tracestate: %b\r\n" % fields[b"tracestate"]
        return lines

    def _lines(self, kind: str, headers: Mapping[str, str]) -> bytes:
        lines = f"content-type: {kind}\r\nx-request-id: {self.request_id}\r\n"
        for name, value in headers.items():
            lines += f"{name}: {value}\r\n"
        return lines.encode("latin-1")


Handler = Callable[["DataPlane", Passage], Awaitable[None]]
Quick = Callable[["DataPlane", Passage], bool]


@dataclass(slots=True, kw_only=True)
class DataPlane:
    """Answers the hot routes. `handlers` by path, and `quick`, which are asked first and do with callbacks alone.

    `clock` is monotonic seconds; `new_id` names nameless requests.
    `refresh` brings the table up to date: asked only when nobody is there to serve, off the hot path.
    `reporter` tells control what is asked for.
    """

    router: Router
    upstream: Upstream
    guard: Guard
    metrics: GatewayMetrics
    handlers: Mapping[str, Handler]
    quick: Mapping[str, Quick]
    refresh: Callable[[], Awaitable[None]]
    reporter: DemandReporter
    new_id: Callable[[], str]
    log: AccessLog
    tracer: "Tracer | None" = None
    clock: Callable[[], float] = time.monotonic
    is_draining: bool = False
    in_flight: int = 0
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def begun(self, passage: Passage, deployment: str) -> None:
        """The first token of an answer is here."""
        self.reporter.meter.first_token(deployment, self.clock() - passage.arrived_s)

    def owns(self, path: str, method: str) -> bool:
        """Whether it answers this."""
        return method == "POST" and (path in self.handlers or split_path(path)[1] in self.handlers)

    def open(self, exchange: Exchange) -> int:
        """A request has come; returns how large its body may be. Raises TokenForgeError when it may not be."""
        if self.in_flight == 0:
            self.empty.clear()
        self.in_flight += 1
        arrived_s = self.clock()
        fields = exchange.fields
        identity = (request_id(exchange.scope, otherwise="") if b"x-request-id" in fields else "") or self.new_id()
        exchange.work = passage = Passage(exchange, request_id=identity, arrived_s=arrived_s)
        if self.tracer is not None:
            passage.trace = self.tracer.begin(header(exchange.scope, b"traceparent"))
        passage.use = self.guard.enter(fields, needs="infer")
        exchange.until_s = arrived_s + (_deadline_s(exchange) if DEADLINE_HEADER in fields else DEFAULT_DEADLINE_S)
        return MAX_BODY_BYTES

    async def answer(self, passage: Passage) -> None:
        """Answer it, whatever happens."""
        exchange = passage.exchange
        try:
            try:
                await self.handlers[passage.path](self, passage)
            except asyncio.CancelledError:
                if not exchange.is_late:
                    raise
                raise too_late(passage) from None
        except Exception as error:  # noqa: BLE001 - the edge of a request: whatever it is, the client gets an answer
            tell_failure(passage, error)

    def left(self, passage: Passage) -> None:
        """It is over."""
        self.in_flight -= 1
        if self.in_flight == 0:
            self.empty.set()
        if passage.use is not None:
            passage.use.in_flight -= 1
        outcome, duration_s = passage.exchange.outcome, self.clock() - passage.arrived_s
        self.metrics.count(passage.path, outcome, duration_s=duration_s)
        if passage.usage is not None:
            self.metrics.delivered(passage.usage)
        if self.log.wants(outcome):
            self.log.tell(_facts(passage, duration_s=duration_s))
        if passage.trace is not None:
            _end_trace(passage.trace, passage)


def _end_trace(trace: "Trace", passage: Passage) -> None:
    """The root span of this process; what lies under it was added on the way."""
    outcome = passage.exchange.outcome
    attributes: dict[str, Value] = {
        "http.request.method": "POST",
        "http.route": passage.path,
        "tokenforge.request_id": passage.request_id,
        "tokenforge.outcome": outcome,
        "tokenforge.tries": passage.tries,
    }
    error = None if outcome in ("ok", "cancelled") else outcome
    trace.end(f"POST {passage.path}", round(passage.arrived_s * 1e9), attributes=attributes, error=error)


def split_path(path: str) -> tuple[str | None, str]:
    """`/deployments/ID/v1/...` is OpenAI's API of one deployment alone: its id, and the path within."""
    if not path.startswith(_SCOPED):
        return None, path
    identity, slash, rest = path.removeprefix(_SCOPED).partition("/")
    return (identity, f"/{rest}") if slash and rest.startswith("v1/") else (None, path)


def too_late(passage: Passage) -> DeadlineExceeded:
    """Its time is up."""
    return DeadlineExceeded(f"the answer was not whole after {passage.exchange.until_s - passage.arrived_s:g} s")


def tell_failure(passage: Passage, error: Exception) -> None:
    """What went wrong as the whole answer, or as the last event of a stream that has begun."""
    exchange, problem = passage.exchange, problem_of(error)
    if problem.code == "internal":
        _log.error("request %s failed unforeseen", passage.request_id, exc_info=error)
    exchange.outcome = problem.code
    if not exchange.is_begun:
        kind, body = problem.shaped(passage.path)
        passage.whole(problem.status, body, kind=kind, headers=problem.headers)
    elif passage.tell_late is not None:
        exchange.write(passage.tell_late(problem))
        exchange.end()


def _facts(passage: Passage, *, duration_s: float) -> Mapping[str, Told]:
    """What the log says of a request."""
    exchange, usage, trace, asked_s = passage.exchange, passage.usage, passage.trace, passage.asked_s
    said = header(exchange.scope, b"traceparent")[3:35]
    return {
        "request_id": passage.request_id,
        "trace_id": said or None if trace is None else trace.root.trace_id.hex(),
        "path": passage.path,
        "status": exchange.status or None,
        "outcome": exchange.outcome,
        "deployment": passage.deployment,
        "model": passage.model,
        "replica": passage.replica,
        "tries": passage.tries,
        "routed_s": None if asked_s is None else asked_s - passage.arrived_s,
        "duration_s": duration_s,
        "request_bytes": exchange.size,
        "answer_bytes": exchange.sent_bytes,
        "prompt_tokens": None if usage is None else usage.prompt_tokens,
        "completion_tokens": None if usage is None else usage.completion_tokens,
        "counted_by": None if usage is None else usage.source,
    }


def _deadline_s(exchange: Exchange) -> float:
    said = header(exchange.scope, DEADLINE_HEADER)
    if not said:
        return DEFAULT_DEADLINE_S
    try:
        limit_s = float(said)
    except ValueError:
        limit_s = -1.0
    if not 0 < limit_s <= MAX_DEADLINE_S:
        hint = f"write seconds, above 0 up to {MAX_DEADLINE_S:g}"
        raise InvalidInput([Fault(field=DEADLINE_HEADER.decode(), value=said, message="is not a time", hint=hint)])
    return limit_s
