"""The reference page of metrics, from the catalogue itself: `make reference` writes it, a test compares it."""

from tokenforge.telemetry.catalogue import SECTIONS
from tokenforge.telemetry.catalogue.definition import Label, Metric
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


if __name__ == "__main__":
    print(metrics_page(), end="")
