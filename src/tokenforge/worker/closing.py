"""What is told of a request when it is over: to the metrics, the log, and its trace."""

import logging

from tokenforge.telemetry.logs import log_request
from tokenforge.worker.answers import Service
from tokenforge.worker.tracing import Answered, end_trace

_log = logging.getLogger(__name__)


def close_request(service: Service, answered: Answered, *, traceparent: str) -> None:
    """Tell all three."""
    _count(service, answered)
    trace = None if service.tracer is None else service.tracer.begin(traceparent)
    _write(service, answered, trace_id=None if trace is None else trace.root.trace_id.hex())
    if trace is not None:
        end_trace(trace, answered)


def _count(service: Service, answered: Answered) -> None:
    metrics, exchange = service.metrics, answered.exchange
    metrics.requests.inc(answered.operation.value, answered.outcome)
    metrics.duration.observe(answered.duration_s)
    if answered.outcome in ("overloaded", "not_ready"):
        metrics.rejected.inc(answered.outcome)
    if exchange is not None and exchange.measure is not None and (timing := exchange.watch.timing()) is not None:
        metrics.spent(timing, decode_ns=exchange.measure.last_ns - exchange.measure.first_ns)


def _write(service: Service, answered: Answered, *, trace_id: str | None) -> None:
    """The line of the log; what was asked only where that was asked for."""
    exchange = answered.exchange
    usage = exchange.last.usage if exchange is not None and exchange.last is not None else None
    asked = exchange.body if exchange is not None and service.host.spec.observing.log_prompts else None
    log_request(
        _log,
        {
            "request_id": answered.request_id,
            "path": answered.route,
            "outcome": answered.outcome,
            "duration_s": answered.duration_s,
            "prompt_tokens": None if usage is None else usage.prompt_tokens,
            "completion_tokens": None if usage is None else usage.completion_tokens,
            "trace_id": trace_id,
            "prompt": None if asked is None else asked.decode(errors="replace"),
        },
    )
