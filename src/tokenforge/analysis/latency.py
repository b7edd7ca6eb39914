"""Latency of every request, in milliseconds, and its means and quantiles per trial.

In an open loop the clock starts at the schedule, so waiting that a slow server causes is charged to the server
(coordinated omission). A closed loop has no schedule: there `ttft`, `e2e` and `lag` are absent, and `ttft_service` and
`e2e_service` (from the send) are what can be said. Only requests that ended well have latencies; failures are counted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.requests import Bools, Floats, Ints, TrialRequests, filled

METRICS = ("ttft", "ttft_service", "tpot", "itl", "chunk_gap", "e2e", "e2e_service", "lag")
QUANTILES = (("p50", 0.50), ("p90", 0.90), ("p95", 0.95), ("p99", 0.99))

_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """One trial. Per request, NaN where absent: `ttft` ... `lag`. Per token: `itl`. Per pair of chunks: `chunk_gap`.

    The last two are as many as there are tokens, so they are not kept: each look reads the chunks again.
    """

    ttft: Floats
    ttft_service: Floats
    tpot: Floats
    e2e: Floats
    e2e_service: Floats
    lag: Floats
    requests: TrialRequests
    counted: Bools

    @property
    def itl(self) -> Floats:
        """The gap between chunks, spread over the tokens of the later one: a value per token but the first."""
        return pooled([self], "itl")

    @property
    def chunk_gap(self) -> Floats:
        """The gap between neighbouring chunks of one request."""
        return pooled([self], "chunk_gap")

    def samples(self, metric: str) -> Floats:
        """The values of a metric that exist; the array is the caller's own."""
        return pooled([self], metric)

    def parts(self, metric: str) -> Iterator[Floats]:
        """`samples` piece by piece."""
        if metric == "itl":
            yield from (_per_token(gaps, tokens) for gaps, tokens in _chunk_gaps(self.requests, self.counted))
        elif metric == "chunk_gap":
            yield from (gaps for gaps, _ in _chunk_gaps(self.requests, self.counted))
        else:
            values: Floats = getattr(self, metric)
            yield values[~np.isnan(values)]

    def most(self, metric: str) -> int:
        """At least as many as `samples` are."""
        chunks = int(self.requests.chunk_counts.sum())
        sizes = {"itl": chunks + int(self.requests.chunk_tokens.sum()), "chunk_gap": chunks}
        return sizes.get(metric, len(self.requests))


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


def pooled(trials: Sequence[Latencies], metric: str) -> Floats:
    """The values of all trials together, in their order; the array is the caller's own."""
    parts = (part for trial in trials for part in trial.parts(metric))
    return filled(parts, most=sum(trial.most(metric) for trial in trials))


def latencies(requests: TrialRequests, counted: Bools) -> Latencies:
    """All latencies of a trial for the `counted` requests (those after the warm-up that ended well)."""
    first = np.where(counted, requests.first_ns, np.nan)
    end = np.where(counted, requests.end_ns, np.nan)
    return Latencies(
        ttft=(first - requests.scheduled_ns) / _NS_PER_MS,
        ttft_service=(first - requests.sent_ns) / _NS_PER_MS,
        tpot=np.where(counted, _tpot(requests), np.nan),
        e2e=(end - requests.scheduled_ns) / _NS_PER_MS,
        e2e_service=(end - requests.sent_ns) / _NS_PER_MS,
        lag=np.where(counted, requests.sent_ns - requests.scheduled_ns, np.nan) / _NS_PER_MS,
        requests=requests,
        counted=counted,
    )


def trial_metric(values: Floats, *, trial: int, may_reorder: bool = False) -> TrialMetric:
    """Mean and quantiles of one trial's values. Quantiles are the empirical ones (linear between ranks).

    With `may_reorder`, `values` come back in another order; a copy of them is spared.
    """
    if len(values) == 0:
        return TrialMetric(trial=trial, count=0, mean=None, p50=None, p90=None, p95=None, p99=None)
    mean = float(np.mean(values))
    found = np.quantile(values, [q for _, q in QUANTILES], overwrite_input=may_reorder).tolist()
    marks: Mapping[str, float] = dict(zip((name for name, _ in QUANTILES), found, strict=True))
    return TrialMetric(trial=trial, count=len(values), mean=mean, **marks)


def _tpot(requests: TrialRequests) -> Floats:
    """(last chunk - first token) / (output tokens - 1); absent for one token, or one chunk that shows no pace."""
    last = np.where(requests.chunk_counts > 1, requests.last_chunk_ns, np.nan)
    steps = requests.tokens_delivered - 1
    steps = np.where(steps > 0, steps, np.nan)
    return (last - requests.first_ns) / steps / _NS_PER_MS


def _chunk_gaps(requests: TrialRequests, counted: Bools) -> Iterator[tuple[Floats, Ints]]:
    """Gaps between neighbouring chunks of one request in ms, and the tokens that the later chunk held (at least 1)."""
    for chunks in requests.chunks():
        inside = ~chunks.is_first & counted[chunks.owner]
        later = np.flatnonzero(inside)
        gaps = (chunks.ns[later] - chunks.ns[later - 1]) / _NS_PER_MS
        yield gaps, np.maximum(chunks.tokens[later], 1)


def _per_token(gaps: Floats, tokens: Ints) -> Floats:
    return gaps if bool(np.all(tokens == 1)) else np.repeat(gaps / tokens, tokens)
