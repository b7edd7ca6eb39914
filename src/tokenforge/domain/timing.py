"""How long a worker took for the parts of a request, told as durations of its own clock: no two clocks are compared."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTiming:
    """Nanoseconds within one process's monotonic clock.

    `first_token_ns`: from the request's last byte to the event with the first token. Of it, `queue_ns` until the engine
    took the request up and `prefill_ns` from there until it had the token; None where the engine does not tell. The
    rest is the worker's own: HTTP, tokenising, text.
    """

    first_token_ns: int
    queue_ns: int | None = None
    prefill_ns: int | None = None
