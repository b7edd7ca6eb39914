"""From trials to the few hundred points that a chart can show. Thinning is by rank or by slice, never by chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.requests import Floats
from tokenforge.analysis.throughput import in_flight
from tokenforge.analysis.trials import Trial
from tokenforge.report.charts import Point

_RANKS = 200
_SLICES = 60
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
        parts = [trial.latencies.samples(metric) for trial in self.trials]
        return np.concatenate(parts) if parts else np.empty(0)


def cdf_points(values: Floats) -> Sequence[Point]:
    """Share of values at or below x, at even ranks."""
    if len(values) == 0:
        return []
    ranks = np.linspace(0, 1, min(_RANKS, len(values)) + 1)
    return [(float(x), float(q) * 100) for x, q in zip(np.quantile(values, ranks), ranks, strict=True)]


def ttft_dots(run: RunSeries) -> Sequence[Point]:
    """(seconds into the trial, TTFT in ms) of requests of all trials; every k-th where there are too many."""
    points: list[Point] = []
    for trial in run.trials:
        waits = getattr(trial.latencies, run.ttft_metric)
        known = ~np.isnan(waits)
        due = trial.requests.arrival_ns[known] / _NS
        points += [(float(x), float(y)) for x, y in zip(due, waits[known], strict=True)]
    step = -(-len(points) // _MOST_DOTS) or 1
    return points[::step]


def flight_lines(run: RunSeries, *, until_s: float) -> tuple[Sequence[Sequence[Point]], Sequence[Point]]:
    """Requests in flight over time: one line per trial, and their mean."""
    times = np.linspace(0, until_s, _SLICES * 2)
    return _lines(times, [in_flight(trial.requests, times * _NS) for trial in run.trials])


def token_lines(run: RunSeries, *, until_s: float) -> tuple[Sequence[Sequence[Point]], Sequence[Point]]:
    """Output tokens per second over time, in slices: one line per trial, and their mean."""
    edges = np.linspace(0, until_s, _SLICES + 1)
    middles, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    rates = [
        np.histogram(trial.requests.chunk_ns / _NS, edges, weights=trial.requests.chunk_tokens)[0] / width
        for trial in run.trials
    ]
    return _lines(middles, rates)


def longest_s(runs: Sequence[RunSeries]) -> float:
    """The last answer of all trials, in seconds from their start."""
    ends = [
        float(np.nanmax(t.requests.end_ns)) for run in runs for t in run.trials if np.isfinite(t.requests.end_ns).any()
    ]
    return max(ends, default=_NS) / _NS


def _lines(times: Floats, values: Sequence[Floats]) -> tuple[Sequence[Sequence[Point]], Sequence[Point]]:
    if not values:
        return [], []
    each = [_points(times, one) for one in values]
    return each, _points(times, np.mean(values, axis=0))


def _points(x: Floats, y: Floats) -> Sequence[Point]:
    return [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
