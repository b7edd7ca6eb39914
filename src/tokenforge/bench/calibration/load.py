"""The load of a benchmark as a short one: the same arrivals, pace and clients, squeezed into a second and a half.

Where answers are long, or requests few, time runs k times faster for the arrivals and answers have k times fewer
chunks: as many chunks a second, as many streams at once, and enough requests to speak of a p99.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from tokenforge.domain.plan import PlannedRequest, TrialPlan
from tokenforge.domain.record import Outcome, RequestRecord
from tokenforge.domain.workload import Arrival

_SAMPLE = 400
_ANSWER_S = 0.7
_MOST_TTFT_S = 0.2
_MOST_ITL_S = 0.2
_REQUESTS = 100
_MOST_RATE = 300.0
_FEWEST_CHUNKS = 4
_NS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What was seen of a workload. `at_ns` are the arrivals of one trial, ascending; empty in a closed loop.

    `ttft_s`, `itl_s` and `chunks` (per answer) are medians; `itl_s` is 0 where an answer is one chunk.
    """

    at_ns: tuple[int, ...]
    concurrency: int | None
    ttft_s: float
    itl_s: float
    chunks: int
    prompt_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """A load made ready to be repeated against a null server of this pace."""

    plan: TrialPlan
    ttft_s: float
    itl_s: float
    chunks: int


def observed_load(records: Sequence[RequestRecord], *, concurrency: int | None) -> Load | None:
    """Read a load off the records of a run; None when no answer was whole. A sample of them is enough."""
    whole = [record for record in records if record.outcome is Outcome.OK and record.chunk_ns]
    if not whole:
        return None
    some = whole[:: max(1, len(whole) // _SAMPLE)]
    first_trial = min(record.trial for record in whole)
    arrivals = (r.scheduled_ns for r in records if r.trial == first_trial and r.scheduled_ns is not None)
    gaps = [gap for record in some if (gap := _mean_gap_ns(record)) is not None]
    return Load(
        at_ns=() if concurrency is not None else tuple(sorted(arrivals)),
        concurrency=concurrency,
        ttft_s=max(0.0, median(r.chunk_ns[0] - r.sent_ns for r in some if r.sent_ns is not None) / _NS),
        itl_s=median(gaps) / _NS if gaps else 0.0,
        chunks=round(median(len(record.chunk_ns) for record in some)),
        prompt_tokens=round(median(r.prompt_tokens or r.asked_prompt_tokens or 0 for r in some)),
    )


def hardest(loads: Iterable[Load]) -> Load | None:
    """One load for a workload that several runtimes served: the pace of the fastest is the hardest to follow."""
    known = list(loads)
    if not known:
        return None
    return replace(
        known[0],
        ttft_s=min(load.ttft_s for load in known),
        itl_s=min(load.itl_s for load in known),
        chunks=max(load.chunks for load in known),
    )


def repeat_of(load: Load, *, window_s: float) -> Repeat | None:
    """The load for `window_s` of arrivals; None for an open loop in which nothing arrived."""
    if load.concurrency is not None:
        return _closed(load, load.concurrency, window_s=window_s)
    if not load.at_ns:
        return None
    return _open(load, window_s=window_s)


def _open(load: Load, *, window_s: float) -> Repeat:
    peak = len(_busiest(load.at_ns, window_s * _NS)) / window_s
    mean = _NS / _period_ns(load.at_ns) * len(load.at_ns)
    answer_s = load.ttft_s + load.chunks * load.itl_s
    squeeze = max(1.0, min(max(answer_s / _ANSWER_S, _REQUESTS / (mean * window_s)), _MOST_RATE / peak))
    length_ns = squeeze * window_s * _NS
    arrivals = _busiest(_lasting(load.at_ns, length_ns), length_ns)
    chunks = max(min(load.chunks, _FEWEST_CHUNKS), round(load.chunks / squeeze))
    requests = [_request(i, at_ns=round((at - arrivals[0]) / squeeze), load=load, chunks=chunks)
                for i, at in enumerate(arrivals)]  # fmt: skip
    return _repeat(load, requests, chunks=chunks, plan=_plan(Arrival.TRACE, requests))


def _closed(load: Load, clients: int, *, window_s: float) -> Repeat:
    """Answers are cut so that every client turns round often enough; the pace stays."""
    longest_s = min(_ANSWER_S, clients * window_s / _REQUESTS)
    fit = int((longest_s - min(load.ttft_s, longest_s / 2)) / load.itl_s) if load.itl_s else load.chunks
    chunks = max(min(load.chunks, _FEWEST_CHUNKS), min(load.chunks, fit))
    shortest_s = max(0.001, min(load.ttft_s, _MOST_TTFT_S) / 2 + chunks * min(load.itl_s, _MOST_ITL_S))
    count = min(20_000, clients * (2 + int(window_s / shortest_s)))
    requests = [_request(i, at_ns=None, load=load, chunks=chunks) for i in range(count)]
    plan = replace(_plan(Arrival.CONCURRENCY, requests), concurrency=clients, duration_s=window_s)
    return _repeat(load, requests, chunks=chunks, plan=plan)


def _repeat(load: Load, requests: Sequence[PlannedRequest], *, chunks: int, plan: TrialPlan) -> Repeat:
    itl_s = min(load.itl_s, _MOST_ITL_S, _ANSWER_S / max(1, chunks))
    return Repeat(
        plan=replace(plan, requests=tuple(requests)), ttft_s=min(load.ttft_s, _MOST_TTFT_S), itl_s=itl_s, chunks=chunks
    )


def _plan(arrival: Arrival, requests: Sequence[PlannedRequest]) -> TrialPlan:
    return TrialPlan(workload="calibration", arrival=arrival, trial=0, seed=0, requests=tuple(requests))


def _request(index: int, *, at_ns: int | None, load: Load, chunks: int) -> PlannedRequest:
    """The prompt begins with the index, by which the null server's log names the answer."""
    text = f"{index} " + "word " * max(0, load.prompt_tokens - 1)
    return PlannedRequest(index=index, at_ns=at_ns, prompt_text=text, gen_tokens=chunks)


def _lasting(at_ns: Sequence[int], length_ns: float) -> Sequence[int]:
    """The arrivals, over again until they last as long as that."""
    period_ns = _period_ns(at_ns)
    return [at + round(turn * period_ns) for turn in range(1 + int(length_ns / period_ns)) for at in at_ns]


def _period_ns(at_ns: Sequence[int]) -> float:
    """How long the arrivals last, with the gap after the last; a single one counts as one a second."""
    span_ns = at_ns[-1] - at_ns[0]
    return span_ns * len(at_ns) / (len(at_ns) - 1) if span_ns else _NS


def _busiest(at_ns: Sequence[int], length_ns: float) -> Sequence[int]:
    """The arrivals of the window of this length that holds most."""
    times = np.asarray(at_ns, dtype=np.int64)
    ends = np.searchsorted(times, times + int(length_ns))
    first = int(np.argmax(ends - np.arange(len(times))))
    return at_ns[first : int(ends[first])]


def _mean_gap_ns(record: RequestRecord) -> float | None:
    chunks = record.chunk_ns
    return (chunks[-1] - chunks[0]) / (len(chunks) - 1) if len(chunks) > 1 else None
