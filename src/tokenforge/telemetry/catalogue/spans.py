"""Every span and its attributes, defined once. Generative AI attributes are OpenTelemetry's current names."""

from dataclasses import dataclass

from tokenforge.telemetry.catalogue.definition import Process


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanDefinition:
    """`name` with placeholders in braces; `stage` is that of the latency ledger which it measures, if any."""

    name: str
    kind: str
    process: Process
    parent: str
    text: str
    attributes: tuple[tuple[str, str], ...] = ()
    stage: str = ""


_HTTP = (
    ("http.request.method", "always POST"),
    ("http.route", "the route"),
    ("tokenforge.request_id", "the id of the request in every process's log"),
    ("tokenforge.outcome", "`ok`, `cancelled`, or the code of the error"),
)

SPANS = (
    SpanDefinition(
        name="POST {route}", kind="server", process=Process.GATEWAY, parent="the caller's, if it sent `traceparent`",
        text="From a request's arrival at the gateway to its last byte.",
        attributes=(*_HTTP, ("tokenforge.tries", "replicas that were asked")),
    ),
    SpanDefinition(
        name="route", kind="internal", process=Process.GATEWAY, parent="POST {route}", stage="gateway",
        text="Until the request was passed on: reading, checking, choosing a replica, waiting for one.",
    ),
    SpanDefinition(
        name="relay", kind="client", process=Process.GATEWAY, parent="POST {route}", stage="network",
        text="One try with a replica; beside the worker's span in it, it is the network and HTTP.",
        attributes=(("server.address", "the worker's host and port"), ("tokenforge.replica", "its name")),
    ),
    SpanDefinition(
        name="POST {route}", kind="server", process=Process.WORKER, parent="relay",
        text="From the request's last byte to the answer's last byte.", attributes=_HTTP,
    ),
    SpanDefinition(
        name="prepare", kind="internal", process=Process.WORKER, parent="POST {route}", stage="worker",
        text="Checking, tokenising, taking a place.",
    ),
    SpanDefinition(
        name="{operation} {model}", kind="internal", process=Process.WORKER, parent="POST {route}",
        text="The generation in the engine.",
        attributes=(
            ("gen_ai.operation.name", "`chat` or `text_completion`"),
            ("gen_ai.provider.name", "`tokenforge`"),
            ("gen_ai.request.model", "the model asked for"),
            ("gen_ai.response.model", "the model that answered"),
            ("gen_ai.request.max_tokens", "the most tokens asked for"),
            ("gen_ai.request.temperature", "as asked for"),
            ("gen_ai.request.top_p", "as asked for"),
            ("gen_ai.request.seed", "as asked for, if it was"),
            ("gen_ai.response.finish_reasons", "why it ended"),
            ("gen_ai.usage.input_tokens", "prompt tokens"),
            ("gen_ai.usage.output_tokens", "tokens generated"),
            ("gen_ai.usage.cache_read.input_tokens", "prompt tokens from the cache, where the engine says"),
            ("tokenforge.runtime", "the runtime"),
            ("tokenforge.engine_version", "the engine's version"),
        ),
    ),
    SpanDefinition(
        name="queue", kind="internal", process=Process.WORKER, parent="{operation} {model}", stage="queue",
        text="Until the engine took the request up; where the engine tells.",
    ),
    SpanDefinition(
        name="prefill", kind="internal", process=Process.WORKER, parent="{operation} {model}", stage="prefill",
        text="Until the engine had the first token; with the queue where the engine does not tell them apart.",
    ),
    SpanDefinition(
        name="decode", kind="internal", process=Process.WORKER, parent="{operation} {model}", stage="decode",
        text="From the first token to the last.",
    ),
    SpanDefinition(
        name="finish", kind="internal", process=Process.WORKER, parent="POST {route}", stage="worker",
        text="From the last token to the last byte.",
    ),
)  # fmt: skip
