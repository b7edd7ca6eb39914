"""Metrics of the load generator, while a trial runs: what its records say, as they are written.

Definitions are those of the records: from the moment a request was due where the workload has a schedule, else from the
moment it was sent.
"""

from tokenforge.domain.record import Outcome
from tokenforge.telemetry.catalogue.definition import (
    Kind,
    Label,
    Metric,
    Process,
    decade_buckets,
)

_BENCH = (Process.BENCH,)
_TARGET = (
    Label(name="runtime", text="the engine as the benchmark names it", most=32),
    Label(name="workload", text="the workload's name", most=32),
)
FINE_DURATIONS = (*decade_buckets(0.001, 100.0, per_decade=50), 200.0, 500.0, 1000.0)
"""Fifty a decade: a quantile is off by less than 5 %, whatever the values. One process can afford it while it runs."""

FINE_TOKENS = decade_buckets(0.0005, 10.0, per_decade=50)
LAG_BUCKETS = decade_buckets(0.00001, 10.0)
"""How late a request was sent: 10 µs to 10 s."""

SENT = Metric(name="benchmark_sent_total", text="Requests sent.", kind=Kind.COUNTER, processes=_BENCH, labels=_TARGET)
REQUESTS = Metric(
    name="benchmark_requests_total",
    text="Requests that ended, by how.",
    kind=Kind.COUNTER,
    processes=_BENCH,
    labels=(*_TARGET, Label(name="outcome", text="as in the record", values=tuple(o.value for o in Outcome))),
)
IN_FLIGHT = Metric(
    name="benchmark_requests_in_flight",
    text="Requests sent and not ended.",
    kind=Kind.GAUGE,
    processes=_BENCH,
    labels=_TARGET,
)
OFFERED_RATE = Metric(
    name="benchmark_offered_rate",
    text="Requests a second that the plan asks for; absent in a closed loop.",
    kind=Kind.GAUGE,
    processes=_BENCH,
    labels=_TARGET,
)
TRIAL = Metric(
    name="benchmark_trial",
    text="Which trial runs, from 0; absent between trials.",
    kind=Kind.GAUGE,
    processes=_BENCH,
    labels=_TARGET,
)
PROMPT_TOKENS = Metric(
    name="benchmark_prompt_tokens_total",
    text="Prompt tokens of answers, as the server counts them.",
    kind=Kind.COUNTER,
    unit="tokens",
    processes=_BENCH,
    labels=_TARGET,
)
OUTPUT_TOKENS = Metric(
    name="benchmark_output_tokens_total",
    text="Tokens of answers, as the server counts them.",
    kind=Kind.COUNTER,
    unit="tokens",
    processes=_BENCH,
    labels=_TARGET,
)
TIME_TO_FIRST_TOKEN = Metric(
    name="benchmark_request_time_to_first_token_seconds",
    text="Until the first token.",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    processes=_BENCH,
    labels=_TARGET,
    buckets=FINE_DURATIONS,
)
TIME_PER_OUTPUT_TOKEN = Metric(
    name="benchmark_request_time_per_output_token_seconds",
    text="From the first token to the last, by the tokens after the first.",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    processes=_BENCH,
    labels=_TARGET,
    buckets=FINE_TOKENS,
)
DURATION = Metric(
    name="benchmark_request_duration_seconds",
    text="Until the answer's end.",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    processes=_BENCH,
    labels=_TARGET,
    buckets=FINE_DURATIONS,
)
LAG = Metric(
    name="benchmark_send_lag_seconds",
    text="Between the moment a request was due and that in which it was sent; absent in a closed loop.",
    kind=Kind.HISTOGRAM,
    unit="seconds",
    processes=_BENCH,
    labels=_TARGET,
    buckets=LAG_BUCKETS,
)
SLO = Metric(
    name="benchmark_slo_requests_total",
    text="Requests that ended, by whether they kept every limit of the workload's SLO; errors did not.",
    kind=Kind.COUNTER,
    processes=_BENCH,
    labels=(*_TARGET, Label(name="met", text="whether it did", values=("true", "false"))),
)

BENCHMARK = (
    SENT, REQUESTS, IN_FLIGHT, OFFERED_RATE, TRIAL, PROMPT_TOKENS, OUTPUT_TOKENS, TIME_TO_FIRST_TOKEN,
    TIME_PER_OUTPUT_TOKEN, DURATION, LAG, SLO,
)  # fmt: skip
