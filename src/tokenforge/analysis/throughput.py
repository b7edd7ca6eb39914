"""Rates inside the steady window: tokens per second, requests per second, requests in flight.

A token counts by the part of its chunk's span that lies in the window (a chunk spans from the one before it, the first
from the send), so a long answer that crosses the edge is neither counted whole nor lost. Every token that reached the
client counts, also of a request that later failed or was hung up on; good requests are goodput's business.
"""

from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.document import WorkloadFacts
from tokenforge.analysis.latency import Latencies
from tokenforge.analysis.requests import Bools, Chunks, Floats, TrialRequests, filled
from tokenforge.analysis.warmup import warmup_of

_NS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of a trial that counts, in ns from its start: after the warm-up, until load stopped arriving."""

    start_ns: float
    end_ns: float

    @property
    def length_s(self) -> float:
        """Seconds."""
        return (self.end_ns - self.start_ns) / _NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """One trial. Rates are per second of the window; None where the window is empty or the question does not apply.

    `asked_rate` is the plan's own rate between its first and last arrival; `sent_rate` the same of the sends.
    """

    trial: int
    window_s: float
    asked_rate: float | None
    sent_rate: float | None
    completed_rate: float | None
    output_tokens_per_s: float | None
    total_tokens_per_s: float | None
    goodput: float | None
    attainment: float | None
    mean_in_flight: float | None


def steady_window(requests: TrialRequests, workload: WorkloadFacts) -> Window:
    """From the end of the warm-up to the end of the load; to the last answer where that would leave nothing.

    A closed loop in which no client had a second request has only a start and an end: its load ends with its answers.
    """
    arrivals = requests.arrival_ns[~np.isnan(requests.arrival_ns)]
    ends = requests.end_ns[~np.isnan(requests.end_ns)]
    last_arrival = float(arrivals.max()) if len(arrivals) else 0.0
    last_end = float(ends.max()) if len(ends) else last_arrival
    planned = last_arrival if workload.duration_s is None else min(workload.duration_s * _NS, last_end)
    start = warmup_of(requests, workload, load_s=planned / _NS) * _NS
    is_one_wave = workload.concurrency is not None and len(arrivals) <= workload.concurrency
    end = planned if planned > start and len(arrivals) > 1 and not is_one_wave else last_end
    return Window(start_ns=start, end_ns=max(end, start))


def token_series(requests: TrialRequests, window: Window, *, slices: int) -> Floats:
    """Output tokens per second in equal slices of the window; a chunk counts at its stamp."""
    width_ns = (window.end_ns - window.start_ns) / slices
    held = np.zeros(slices + 1)
    for chunks in requests.chunks():
        spot = np.floor((chunks.ns - window.start_ns) / width_ns)
        spot[(spot < 0) | (spot > slices)] = slices
        held += np.bincount(spot.astype(np.int64), weights=chunks.tokens, minlength=slices + 1)
    rates: Floats = held[:slices] / (width_ns / _NS)
    return rates


def trial_rates(
    requests: TrialRequests, spans: Latencies, *, window: Window, workload: WorkloadFacts, counted: Bools
) -> Rates:
    """All rates of one trial. `counted` marks the attempted requests after the warm-up."""
    good = good_requests(requests, spans, workload)
    length = window.length_s
    inside = (requests.end_ns >= window.start_ns) & (requests.end_ns <= window.end_ns)
    attempted = int(counted.sum())
    output = _tokens_inside(requests, window)
    prompt = float((_share(requests.sent_ns, requests.first_ns, window) * np.nan_to_num(requests.prompt_tokens)).sum())
    return Rates(
        trial=requests.trial,
        window_s=length,
        asked_rate=_pace(requests.scheduled_ns),
        sent_rate=_pace(requests.sent_ns),
        completed_rate=_per_second(float((inside & requests.ok).sum()), length),
        output_tokens_per_s=_per_second(output, length),
        total_tokens_per_s=_per_second(output + prompt, length),
        goodput=_per_second(float((inside & good).sum()), length) if workload.has_slo else None,
        attainment=float((good & counted).sum()) / attempted if workload.has_slo and attempted else None,
        mean_in_flight=_mean_in_flight(requests, window),
    )


def good_requests(requests: TrialRequests, spans: Latencies, workload: WorkloadFacts) -> Bools:
    """Requests that ended well and met every limit that is set; in a closed loop limits hold from the send."""
    open_loop = workload.is_open
    good = requests.ok
    for limit, values in (
        (workload.slo_ttft_ms, spans.ttft if open_loop else spans.ttft_service),
        (workload.slo_e2e_ms, spans.e2e if open_loop else spans.e2e_service),
    ):
        if limit is not None:
            good = good & (values <= limit)
    if workload.slo_tpot_ms is not None:
        good = good & ~(spans.tpot > workload.slo_tpot_ms)
    return good


def in_flight(requests: TrialRequests, at_ns: Floats) -> Floats:
    """How many requests were sent and not ended at each time."""
    sent = np.sort(requests.sent_ns[~np.isnan(requests.sent_ns)])
    ended = np.sort(requests.end_ns[~np.isnan(requests.end_ns)])
    return (np.searchsorted(sent, at_ns, "right") - np.searchsorted(ended, at_ns, "right")).astype(np.float64)


def _tokens_inside(requests: TrialRequests, window: Window) -> float:
    said = requests.chunk_tokens
    scale = np.divide(requests.tokens_delivered, said, out=np.ones(len(requests)), where=said > 0)
    parts = (_shared_tokens(chunks, requests.sent_ns, scale, window) for chunks in requests.chunks())
    return float(filled(parts, most=int(requests.chunk_counts.sum())).sum())


def _shared_tokens(chunks: Chunks, sent_ns: Floats, scale: Floats, window: Window) -> Floats:
    """The tokens of each chunk that lie in the window."""
    starts = np.empty(len(chunks.ns))
    starts[1:] = chunks.ns[:-1]
    is_first = chunks.is_first
    starts[is_first] = sent_ns[chunks.owner[is_first]]
    return _share(starts, chunks.ns.astype(np.float64), window) * chunks.tokens * scale[chunks.owner]


def _share(start_ns: Floats, end_ns: Floats, window: Window) -> Floats:
    """The part of each span inside the window; a span of no length counts whole or not at all."""
    span = end_ns - start_ns
    overlap = np.minimum(end_ns, window.end_ns) - np.maximum(start_ns, window.start_ns)
    point = (end_ns >= window.start_ns) & (end_ns <= window.end_ns)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(span > 0, np.clip(overlap, 0, None) / span, point.astype(np.float64))
    return np.nan_to_num(share)


def _mean_in_flight(requests: TrialRequests, window: Window) -> float | None:
    known = ~np.isnan(requests.sent_ns) & ~np.isnan(requests.end_ns)
    start = np.maximum(requests.sent_ns[known], window.start_ns)
    end = np.minimum(requests.end_ns[known], window.end_ns)
    return _per_second(float(np.clip(end - start, 0, None).sum()) / _NS, window.length_s)


def _pace(stamps_ns: Floats) -> float | None:
    known = stamps_ns[~np.isnan(stamps_ns)]
    span = float(known.max() - known.min()) / _NS if len(known) > 1 else 0.0
    return (len(known) - 1) / span if span > 0 else None


def _per_second(amount: float, length_s: float) -> float | None:
    return amount / length_s if length_s > 0 else None
