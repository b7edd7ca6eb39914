"""RequestRecord: what happened to one request, in stamps. The raw material of every number we print.

Stamps are integer nanoseconds of one monotonic clock, counted from the trial's start, so records of several driver
processes on one machine share one axis. Absent is None, never zero.
"""

import enum
from dataclasses import dataclass


class Outcome(enum.StrEnum):
    """How a request ended, seen from the client. `hung_up`: it left as the plan said, which is no error."""

    OK = "ok"
    HTTP_ERROR = "http_error"
    TRUNCATED = "truncated"
    TIMEOUT = "timeout"
    CONNECT_FAILED = "connect_failed"
    PROTOCOL_ERROR = "protocol_error"
    CANCELLED = "cancelled"
    HUNG_UP = "hung_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request of one trial. The columns of `requests.parquet`, in this order, after `runtime` and `workload`.

    `scheduled_ns` is the plan's time (None in a closed loop); `sent_ns` just before the write; `headers_ns` when the
    status line came; `first_ns` the first token (text or id); `end_ns` the end of the answer. `chunk_ns[i]` is when the
    i-th chunk with tokens came and `chunk_tokens[i]` how many tokens it held. `prompt_tokens` and `output_tokens` are
    the server's usage; `asked_*` what the plan wanted; `counted_tokens` the tokens that the chunks themselves said.

    The last four are durations by other clocks, as `domain.timing` has them: what the server told of its own time to
    the first token, of its engine's queue and prefill; and what a gateway took before it passed the request on.
    """

    trial: int
    index: int
    scheduled_ns: int | None
    sent_ns: int | None
    headers_ns: int | None
    first_ns: int | None
    end_ns: int | None
    chunk_ns: tuple[int, ...]
    chunk_tokens: tuple[int, ...]
    asked_prompt_tokens: int | None
    asked_output_tokens: int
    prompt_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    counted_tokens: int
    finish_reason: str | None
    http_status: int | None
    outcome: Outcome
    error: str | None
    connection: int
    merged_reads: int
    server_first_ns: int | None = None
    server_queue_ns: int | None = None
    server_prefill_ns: int | None = None
    gateway_ns: int | None = None
