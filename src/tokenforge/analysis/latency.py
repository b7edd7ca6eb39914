"""Latency of every request, in milliseconds, and its means and quantiles per trial.

In an open loop the clock starts at the schedule, so waiting that a slow server causes is charged to the server
(coordinated omission). A closed loop has no schedule: there `ttft`, `e2e` and `lag` are absent, and `ttft_service` and
`e2e_service` (from the send) are what can be said. Only requests that ended well have latencies; failures are counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.requests import Bools, Floats, TrialRequests

METRICS = ("ttft", "ttft_service", "tpot", "itl", "chunk_gap", "e2e", "e2e_service", "lag")
QUANTILES = (("p50", 0.50), ("p90", 0.90), ("p95", 0.95), ("p99", 0.99))

_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """One trial. Per request, NaN where absent: `ttft` ... `lag`. Per token: `itl`. Per pair of chunks: `chunk_gap`."""

    ttft: Floats
    ttft_service: Floats
    tpot: Floats
    itl: Floats
    chunk_gap: Floats
    e2e: Floats
    e2e_service: Floats
    lag: Floats

    def samples(self, metric: str) -> Floats:
        """The values of a metric that exist."""
        values: Floats = getattr(self, metric)
        return values[~np.isnan(values)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialMetric:
    """One metric of one trial, ms. None where no request has a value."""

    trial: int
    count: int
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


def latencies(requests: TrialRequests, counted: Bools) -> Latencies:
    """All latencies of a trial for the `counted` requests (those after the warm-up that ended well)."""
    first = np.where(counted, requests.first_ns, np.nan)
    end = np.where(counted, requests.end_ns, np.nan)
    gaps, tokens = _chunk_gaps(requests, counted)
    per_token = gaps / tokens
    return Latencies(
        ttft=(first - requests.scheduled_ns) / _NS_PER_MS,
        ttft_service=(first - requests.sent_ns) / _NS_PER_MS,
        tpot=np.where(counted, _tpot(requests), np.nan),
        itl=per_token if bool(np.all(tokens == 1)) else np.repeat(per_token, tokens.astype(np.int64)),
        chunk_gap=gaps,
        e2e=(end - requests.scheduled_ns) / _NS_PER_MS,
        e2e_service=(end - requests.sent_ns) / _NS_PER_MS,
        lag=np.where(counted, requests.sent_ns - requests.scheduled_ns, np.nan) / _NS_PER_MS,
    )


def trial_metric(values: Floats, *, trial: int) -> TrialMetric:
    """Mean and quantiles of one trial's values. Quantiles are the empirical ones (linear between ranks)."""
    if len(values) == 0:
        return TrialMetric(trial=trial, count=0, mean=None, p50=None, p90=None, p95=None, p99=None)
    marks: Mapping[str, float] = dict(
        zip((name for name, _ in QUANTILES), np.quantile(values, [q for _, q in QUANTILES]).tolist(), strict=True)
    )
    return TrialMetric(trial=trial, count=len(values), mean=float(np.mean(values)), **marks)


def _tpot(requests: TrialRequests) -> Floats:
    """(last chunk - first token) / (output tokens - 1); absent for one token, or one chunk that shows no pace."""
    last = np.full(len(requests), np.nan)
    chunks = np.diff(requests.offsets)
    paced = chunks > 1
    last[paced] = requests.chunk_ns[requests.offsets[1:][paced] - 1]
    steps = requests.tokens_delivered - 1
    steps = np.where(steps > 0, steps, np.nan)
    return (last - requests.first_ns) / steps / _NS_PER_MS


def _chunk_gaps(requests: TrialRequests, counted: Bools) -> tuple[Floats, Floats]:
    """Gaps between neighbouring chunks of one request in ms, and the tokens that the later chunk held (at least 1)."""
    owner = requests.chunk_owner
    if len(owner) < 2:
        return np.empty(0), np.empty(0)
    inside = (owner[1:] == owner[:-1]) & counted[owner[1:]]
    gaps = np.diff(requests.chunk_ns)[inside] / _NS_PER_MS
    return gaps, np.maximum(requests.chunk_tokens[1:][inside], 1.0)
