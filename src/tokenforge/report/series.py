"""From trials to the few hundred points that a chart can show. Thinning is by rank or by slice, never by chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.latency import pooled
from tokenforge.analysis.requests import Floats, TrialRequests
from tokenforge.analysis.throughput import in_flight
from tokenforge.analysis.trials import Trial
from tokenforge.report.charts import Point

_RANKS = 200
_SLICES = 48
_LOOKS_PER_SLICE = 8
_MOST_DOTS = 1500
_NS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSeries:
    """A run as charts see it: its name, its colour slot, its measured trials."""

    runtime: str
    slot: int
    is_open: bool
    trials: tuple[Trial, ...]

    @property
    def ttft_metric(self) -> str:
        """The TTFT that exists: from the schedule in an open loop, from the send in a closed one."""
        return "ttft" if self.is_open else "ttft_service"

    def pooled(self, metric: str) -> Floats:
        """The values of all trials together."""
        return pooled([trial.latencies for trial in self.trials], metric)


def cdf_points(values: Floats) -> Sequence[Point]:
    """Share of values at or below x, at even ranks. `values` come back in another order."""
    if len(values) == 0:
        return []
    ranks = np.linspace(0, 1, min(_RANKS, len(values)) + 1)
    return [
        (float(x), float(q) * 100) for x, q in zip(np.quantile(values, ranks, overwrite_input=True), ranks, strict=True)
    ]


def ttft_dots(run: RunSeries) -> Sequence[Point]:
    """(seconds into the trial, TTFT in ms) of requests of all trials; every k-th where there are too many."""
    due, waits = [], []
    for trial in run.trials:
        values = getattr(trial.latencies, run.ttft_metric)
        known = ~np.isnan(values)
        due.append(trial.requests.arrival_ns[known] / _NS)
        waits.append(values[known])
    step = -(-sum(map(len, due)) // _MOST_DOTS) or 1
    return _points(np.concatenate(due)[::step], np.concatenate(waits)[::step]) if due else []


def flight_lines(run: RunSeries, *, until_s: float) -> tuple[Sequence[Sequence[Point]], Sequence[Point]]:
    """Requests in flight over time, mean per slice: one line per trial, and the mean of those still running."""
    edges = np.linspace(0, until_s, _SLICES + 1)
    looks = np.linspace(0, until_s, _SLICES * _LOOKS_PER_SLICE, endpoint=False)
    rows = [in_flight(t.requests, looks * _NS).reshape(_SLICES, _LOOKS_PER_SLICE).mean(axis=1) for t in run.trials]
    return _lines(run, edges, rows)


def token_lines(run: RunSeries, *, until_s: float) -> tuple[Sequence[Sequence[Point]], Sequence[Point]]:
    """Output tokens per second over time, per slice: one line per trial, and the mean of those still running."""
    edges = np.linspace(0, until_s, _SLICES + 1)
    rows = [_tokens_between(t.requests, edges) / (edges[1] - edges[0]) for t in run.trials]
    return _lines(run, edges, rows)


def _tokens_between(requests: TrialRequests, edges: Floats) -> Floats:
    """Tokens of the chunks that came from each edge to the next, the last edge included."""
    sums = np.zeros(len(edges) - 1)
    for chunks in requests.chunks():
        seconds = chunks.ns / _NS
        inside = (seconds >= edges[0]) & (seconds <= edges[-1])
        slots = np.minimum(np.searchsorted(edges, seconds[inside], "right"), len(edges) - 1) - 1
        sums += np.bincount(slots, weights=chunks.tokens[inside], minlength=len(sums))
    return sums


def longest_s(runs: Sequence[RunSeries]) -> float:
    """The last answer of all trials, in seconds from their start."""
    return max((_end_s(trial) for run in runs for trial in run.trials), default=1.0) or 1.0


def _end_s(trial: Trial) -> float:
    ends = trial.requests.end_ns[~np.isnan(trial.requests.end_ns)]
    return float(ends.max()) / _NS if len(ends) else 0.0


def _lines(run: RunSeries, edges: Floats, rows: Sequence[Floats]) -> tuple[Sequence[Sequence[Point]], Sequence[Point]]:
    """Lines at the middle of slices; a trial's line ends with the last slice that it filled."""
    middles = (edges[1:] + edges[:-1]) / 2
    whole = [np.where(edges[1:] <= _end_s(trial), row, np.nan) for trial, row in zip(run.trials, rows, strict=True)]
    if not whole:
        return [], []
    alive = ~np.isnan(whole)
    sums, counts = np.nansum(whole, axis=0), alive.sum(axis=0)
    enough = counts * 2 > len(whole)
    return [_points(middles[a], w[a]) for w, a in zip(whole, alive, strict=True)], _points(
        middles[enough], sums[enough] / counts[enough]
    )


def _points(x: Floats, y: Floats) -> Sequence[Point]:
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
