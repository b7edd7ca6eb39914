"""The reference pages of metrics, traces and logs, from the catalogue; a test compares what `make reference` wrote."""

import sys
from collections.abc import Callable

from tokenforge.telemetry.catalogue import SECTIONS
from tokenforge.telemetry.catalogue.definition import Label, Metric
from tokenforge.telemetry.catalogue.log_fields import LOG_FIELDS
from tokenforge.telemetry.catalogue.spans import SPANS, SpanDefinition
from tokenforge.telemetry.vllm_mapping import MAPPED

_HEAD = """# Metrics

<!-- Made from `telemetry/catalogue` by `make reference`; do not edit. -->

Every process has a page at `/metrics` in Prometheus' text format, with `process_*` of its own beside what is below.
Units are base units. What is not known is absent, never 0: "told by" names the runtimes that can tell. Labels are
bounded: a value beyond a label's bound counts as `other`. A histogram has `_bucket`, `_sum` and `_count`, a summary
`_sum` and `_count`. Which deployment, model, runtime and replica a worker's page is of comes from service discovery
(`/metrics/targets`), as labels of the target. How to look at all this: [Observe](../how-to/observe.md)
"""

_VLLM_HEAD = """
## vLLM's own

A worker with vLLM also has vLLM's metrics on its page, as they are (`vllm:*`). What they are in our words:

| vLLM | here |
|---|---|
"""

_TRACES_HEAD = """# Traces

<!-- Made from `telemetry/catalogue/spans.py` by `make reference`; do not edit. -->

A traced request is one set of spans, made when it is over: never one a token. The stages are those of the
[latency ledger](../concepts/latency-ledger.md); one begins where the other ends, so they add up to the whole.
Attributes have OpenTelemetry's current names (`gen_ai.*`, `http.*`); what it has no name for begins with `tokenforge.`.
No prompt and no answer is ever in a span.

vLLM can send a span of its own (`llm_request`, by `otlp_traces_endpoint`). It is not linked; why is what the source of
0.32.0 says, without a trial. It is one span without children, whose queue, prefill and decode are attributes, by the
stamps that our spans are made of, so it tells nothing more; it tells the tokens once again, by older names. It wants
its parent when the request begins, where our spans are made at its end, and the SDK makes it in the loop that hands
tokens out. How to turn traces on: [Observe](../how-to/observe.md)

| span | kind | process | within | stage | what it is |
|---|---|---|---|---|---|
"""

_LOGS_HEAD = """# Logs

<!-- Made from `telemetry/catalogue/log_fields.py` by `make reference`; do not edit. -->

Every process and every command logs to standard error (`up` keeps it in files): for people, or with
`TOKENFORGE_LOG=json` one JSON object a line. A command's own words there, progress and errors, are `message`s then;
what it answers goes to standard output as ever. One `request_id` goes through all processes: the caller's
`x-request-id`, or one that the gateway makes, which comes back in the answer.

| field | where | what it says |
|---|---|---|
"""


def metrics_page() -> str:
    """Markdown: a table per section."""
    sections = "".join(_section(title, metrics) for title, metrics in SECTIONS)
    vllm = "".join(f"| `{theirs}` | `{ours.full_name}` |\n" for theirs, ours in MAPPED.items())
    return _HEAD + sections + _VLLM_HEAD + vllm


def _section(title: str, metrics: tuple[Metric, ...]) -> str:
    head = f"\n## {title}\n\n| metric | kind | labels | what it says | told by |\n|---|---|---|---|---|\n"
    return head + "".join(_row(metric) for metric in metrics)


def _row(metric: Metric) -> str:
    labels = "<br>".join(_label(label) for label in metric.labels) or "-"
    kind = f"{metric.kind}, {metric.unit}" if metric.unit else str(metric.kind)
    if metric.buckets:
        kind += f"<br>{metric.buckets[0]:g} to {metric.buckets[-1]:g}"
    told = ", ".join(metric.runtimes) if metric.runtimes else ", ".join(str(process) for process in metric.processes)
    return f"| `{metric.full_name}` | {kind} | {labels} | {metric.text} | {told} |\n"


def _label(label: Label) -> str:
    bound = ", ".join(label.values) if label.values else f"at most {label.most}"
    return f"`{label.name}`: {label.text} ({bound})"


def traces_page() -> str:
    """Markdown: a table of spans, and one of attributes."""
    rows = "".join(_span(span) for span in SPANS)
    attributes = {(name, span.name): text for span in SPANS for name, text in span.attributes}
    lines = "".join(f"| `{name}` | {span} | {text} |\n" for (name, span), text in attributes.items())
    return f"{_TRACES_HEAD}{rows}\n## Attributes\n\n| attribute | of | what it says |\n|---|---|---|\n{lines}"


def _span(span: SpanDefinition) -> str:
    stage = f"`{span.stage}`" if span.stage else "-"
    return f"| `{span.name}` | {span.kind} | {span.process} | {span.parent} | {stage} | {span.text} |\n"


def logs_page() -> str:
    """Markdown: a table of fields."""
    return _LOGS_HEAD + "".join(f"| `{one.name}` | {one.where} | {one.text} |\n" for one in LOG_FIELDS)


PAGES: dict[str, Callable[[], str]] = {"metrics": metrics_page, "traces": traces_page, "logs": logs_page}

if __name__ == "__main__":
    print(PAGES[sys.argv[1]](), end="")
