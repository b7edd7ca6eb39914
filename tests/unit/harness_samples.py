"""Answers of a truth server and what a client may say of them, in round numbers."""

from harness.clients.base import Load, SeenRequest
from harness.compare import Errors
from harness.trial import Figures, Trial
from harness.truth import TrueAnswer

MS = 1_000_000


def true_answer(
    prompt: int = 0, *, arrival_ms: float = 0, ttft_ms: float = 50, gap_ms: float = 10, tokens: int = 4
) -> TrueAnswer:
    """An answer whose tokens were sent exactly when due."""
    first = int((arrival_ms + ttft_ms) * MS)
    sent = tuple(first + int(i * gap_ms * MS) for i in range(tokens))
    return TrueAnswer(prompt=prompt, connection=0, arrival_ns=int(arrival_ms * MS), end_ns=sent[-1], sent_ns=sent)


def seen_request(
    prompt: int | None = 0, *, zero_ms: float | None = 0, ttft_ms: float = 50, gaps_ms: tuple[float, ...] = (10, 10, 10)
) -> SeenRequest:
    """What a client would say of `true_answer` that sees exactly."""
    zero_ns = None if zero_ms is None else int(zero_ms * MS)
    return SeenRequest(prompt=prompt, zero_ns=zero_ns, ttft_ms=ttft_ms, gaps_ms=gaps_ms)


def some_errors(*, ttft_p99_ms: float = 0.5, late_p99_ms: float | None = 0.5, gap_p99_ms: float = 0.5) -> Errors:
    """Errors with the p99s that matter."""
    return Errors(
        matched=100,
        has_zero=late_p99_ms is not None,
        by_gap=True,
        ttft_p50_ms=0.1,
        ttft_p99_ms=ttft_p99_ms,
        service_ttft_p50_ms=0.1,
        service_ttft_p99_ms=0.5,
        gap_p50_ms=0.1,
        gap_p99_ms=gap_p99_ms,
        late_p50_ms=None if late_p99_ms is None else 0.1,
        late_p99_ms=late_p99_ms,
    )


def some_trial(
    *,
    client: str = "a",
    rate: float | None = 100.0,
    arrived_rate: float = 100.0,
    completed: int = 1000,
    failed: int = 0,
    errors: Errors | None = None,
    seed: int = 1,
    tokens_per_s: float | None = None,
) -> Trial:
    """A trial of 1,000 requests that went well, but for what is said."""
    load = Load(requests=1000, tokens=64, seed=seed, rate=rate, streams=None if rate is not None else 256)
    figures = Figures(
        completed=completed,
        failed=failed,
        arrived=1000,
        rate=arrived_rate,
        arrival_p=0.5,
        errors=errors or some_errors(),
        first_request_s=1.5,
        wall_s=12,
        cpu_s=3,
        cpu_start_s=1,
        cpu_per_1k_s=0.02,
        cpu_whole_per_1k_s=0.03,
        tokens_per_s=tokens_per_s,
        server_late_p99_ms=0.2,
    )
    return Trial(client=client, load=load, figures=figures)
