"""How a process may be observed: the form of its log, where its traces go, which GPUs are its own."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

TRACE_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
"""The variable (OpenTelemetry's own) that headers come from in every process: they are secrets, so no file has them."""


class LogForm(enum.StrEnum):
    """How a line of the log is written: for people, or one JSON object."""

    PRETTY = "pretty"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observing:
    """How one process is observed. Without `traces_url` nothing is traced.

    `traces_url` takes OTLP over HTTP; `trace_headers` go along, and are never logged. `trace_share` is the share of
    requests that are traced when the caller did not decide. `log_requests` has the gateway log every request, not only
    those that did not end well. `log_prompts` writes prompts and answers into the log.
    `visible_gpus` is what CUDA was told to see (None: all).
    """

    log_form: LogForm = LogForm.PRETTY
    log_requests: bool = False
    log_prompts: bool = False
    traces_url: str | None = None
    trace_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    trace_share: float = 1.0
    visible_gpus: str | None = None


def read_trace_headers(text: str) -> dict[str, str]:
    """`NAME=VALUE,...` with values percent-encoded, as OpenTelemetry writes them; what has no `=` is left out."""
    pairs = (pair.partition("=") for pair in text.split(","))
    return {name.strip().lower(): unquote(value.strip()) for name, sign, value in pairs if sign and name.strip()}
