"""Metrics of requests in a worker."""

from tokenforge.domain.generation import FinishReason
from tokenforge.protocol.openai_request import Operation
from tokenforge.telemetry.catalogue.definition import (
    COUNT_BUCKETS,
    DURATION_BUCKETS,
    TOKEN_BUCKETS,
    Kind,
    Label,
    Metric,
    Process,
)

_WORKER = (Process.WORKER,)
_OPERATION = Label(name="operation", text="which API", values=tuple(operation.value for operation in Operation))
OUTCOME = Label(name="outcome", text="`ok`, `cancelled` (the client left), or the code of the error", most=40)

REQUESTS = Metric(
    name="requests_total", text="Requests answered.", kind=Kind.COUNTER, processes=_WORKER, labels=(_OPERATION, OUTCOME)
)
FINISHED = Metric(
    name="requests_finished_total",
    text="Generations that the engine ended, by reason.",
    kind=Kind.COUNTER,
    processes=_WORKER,
    labels=(Label(name="finish_reason", text="why it ended", values=tuple(reason.value for reason in FinishReason)),),
)
REJECTED = Metric(
    name="admission_rejected_total",
    text="Requests turned away at the door.",
    kind=Kind.COUNTER,
    processes=_WORKER,
    labels=(Label(name="reason", text="why", values=("overloaded", "not_ready")),),
)
INSIDE = Metric(
    name="admission_requests",
    text="Requests between the door and their last byte.",
    kind=Kind.GAUGE,
    processes=_WORKER,
)
CAPACITY = Metric(
    name="admission_capacity_requests",
    text="How many requests may be inside; one more is turned away.",
    kind=Kind.GAUGE,
    processes=_WORKER,
)
TIME_TO_FIRST_TOKEN = Metric(
    name="request_time_to_first_token_seconds",
    text="From the request's last byte to the first token.",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    processes=_WORKER,
    buckets=DURATION_BUCKETS,
)
INTER_TOKEN_LATENCY = Metric(
    name="request_inter_token_latency_seconds",
    text="Between two chunks of tokens as the engine made them, shared evenly among the later chunk's tokens.",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    processes=_WORKER,
    buckets=TOKEN_BUCKETS,
)
TIME_PER_OUTPUT_TOKEN = Metric(
    name="request_time_per_output_token_seconds",
    text="From a request's first token to its last, by the tokens after the first; of answers with two tokens or more.",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    processes=_WORKER,
    buckets=TOKEN_BUCKETS,
)
DURATION = Metric(
    name="request_duration_seconds",
    text="From the request's last byte to the answer's last byte.",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    processes=_WORKER,
    buckets=DURATION_BUCKETS,
)
PHASE = Metric(
    name="request_phase_seconds",
    text="Where the time of a request went, of requests that made a token and whose engine tells it.",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    processes=_WORKER,
    labels=(
        Label(
            name="phase",
            text="`worker` (HTTP, tokenising, text until the first token), `queue`, `prefill`, `decode`",
            values=("worker", "queue", "prefill", "decode"),
        ),
    ),
    buckets=DURATION_BUCKETS,
    runtimes=("sim", "transformers", "vllm"),
)
PROMPT_TOKENS = Metric(
    name="prompt_tokens_total",
    text="Prompt tokens of generations that ended.",
    kind=Kind.COUNTER,
    unit="tokens",
    processes=_WORKER,
    labels=(
        Label(
            name="source",
            text="`computed`, `cached` (found in the prefix cache), or `untold` where the engine does not say",
            values=("computed", "cached", "untold"),
        ),
    ),
)
GENERATION_TOKENS = Metric(
    name="generation_tokens_total", text="Tokens generated.", kind=Kind.COUNTER, unit="tokens", processes=_WORKER
)
REQUEST_PROMPT_TOKENS = Metric(
    name="request_prompt_tokens",
    text="Prompt tokens of a request whose generation ended.",
    kind=Kind.HISTOGRAM,
    unit="tokens",
    processes=_WORKER,
    buckets=COUNT_BUCKETS,
)
REQUEST_GENERATION_TOKENS = Metric(
    name="request_generation_tokens",
    text="Tokens generated for a request whose generation ended.",
    kind=Kind.HISTOGRAM,
    unit="tokens",
    processes=_WORKER,
    buckets=COUNT_BUCKETS,
)

SERVING = (
    REQUESTS, FINISHED, REJECTED, INSIDE, CAPACITY, TIME_TO_FIRST_TOKEN, INTER_TOKEN_LATENCY, TIME_PER_OUTPUT_TOKEN,
    DURATION, PHASE, PROMPT_TOKENS, GENERATION_TOKENS, REQUEST_PROMPT_TOKENS, REQUEST_GENERATION_TOKENS,
)  # fmt: skip
