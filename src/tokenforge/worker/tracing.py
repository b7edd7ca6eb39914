"""A request in this worker as spans: its stages by the stopwatch, one behind the other, without a gap."""

from dataclasses import dataclass

from tokenforge.domain.generation import RuntimeInfo
from tokenforge.protocol.openai_request import Operation
from tokenforge.telemetry.tracing.span import Value
from tokenforge.telemetry.tracing.tracer import Trace
from tokenforge.worker.answers import Exchange

_OPERATIONS = {Operation.CHAT: "chat", Operation.COMPLETIONS: "text_completion"}
"""OpenTelemetry's names of what is generated here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What is known of a request when it is over."""

    operation: Operation
    route: str
    request_id: str
    outcome: str
    began_ns: int
    ended_ns: int
    info: RuntimeInfo | None
    exchange: Exchange | None

    @property
    def duration_s(self) -> float:
        """From its arrival to its end."""
        return (self.ended_ns - self.began_ns) / 1e9


def end_trace(trace: Trace, answered: Answered) -> None:
    """Add the spans of this worker and hand the trace over."""
    _stages(trace, answered)
    attributes: dict[str, Value] = {
        "http.request.method": "POST",
        "http.route": answered.route,
        "tokenforge.request_id": answered.request_id,
        "tokenforge.outcome": answered.outcome,
    }
    error = None if answered.outcome in ("ok", "cancelled") else answered.outcome
    name = f"POST {answered.route}"
    trace.end(name, answered.began_ns, attributes=attributes, error=error, ended_ns=answered.ended_ns)


def _stages(trace: Trace, answered: Answered) -> None:
    root, measure = trace.root.span_id, None if answered.exchange is None else answered.exchange.measure
    asked_ns = None if measure is None else measure.watch.submitted_ns
    if measure is None or asked_ns is None:
        return
    trace.add("prepare", answered.began_ns, asked_ns, parent_id=root)
    last_ns = measure.last_ns or answered.ended_ns
    engine = trace.new_id()
    if measure.first_ns:
        timing = measure.watch.timing()
        taken_ns = asked_ns
        if timing is not None and timing.queue_ns is not None:
            taken_ns = asked_ns + timing.queue_ns
            trace.add("queue", asked_ns, taken_ns, parent_id=engine)
        trace.add("prefill", taken_ns, measure.first_ns, parent_id=engine)
        trace.add("decode", measure.first_ns, last_ns, parent_id=engine)
    operation = _OPERATIONS.get(answered.operation, answered.operation.value)
    trace.add(
        f"{operation} {answered.info.model if answered.info else ''}".strip(), asked_ns, last_ns, parent_id=root,
        span_id=engine, attributes=_generation(answered, operation),
    )  # fmt: skip
    trace.add("finish", last_ns, answered.ended_ns, parent_id=root)


def _generation(answered: Answered, operation: str) -> dict[str, Value]:
    """OpenTelemetry's names of what was asked for and what came."""
    attributes: dict[str, Value] = {"gen_ai.operation.name": operation, "gen_ai.provider.name": "tokenforge"}
    if (info := answered.info) is not None:
        attributes |= {
            "gen_ai.request.model": info.model,
            "gen_ai.response.model": info.model,
            "tokenforge.runtime": info.runtime,
            "tokenforge.engine_version": info.engine_version,
        }
    exchange = answered.exchange
    if exchange is not None and (call := exchange.call) is not None:
        sampling = call.sampling
        attributes |= {
            "gen_ai.request.max_tokens": sampling.max_tokens,
            "gen_ai.request.temperature": float(sampling.temperature),
            "gen_ai.request.top_p": float(sampling.top_p),
            "gen_ai.usage.input_tokens": len(call.prompt_ids),
        }
        if sampling.seed is not None:
            attributes["gen_ai.request.seed"] = sampling.seed
    if exchange is not None and (last := exchange.last) is not None:
        attributes["gen_ai.usage.output_tokens"] = last.usage.completion_tokens
        if last.finish is not None:
            attributes["gen_ai.response.finish_reasons"] = (last.finish.value,)
        if last.usage.cached_tokens:
            attributes["gen_ai.usage.cache_read.input_tokens"] = last.usage.cached_tokens
    return attributes
