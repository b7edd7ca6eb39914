"""Was the server over its capacity? Both the requests in flight and the TTFT climb through the whole trial.

A slope is fitted to the means of equal slices of time, since neighbouring requests say the same thing. One climbing
alone is no proof: a long queue comes and goes at high but stable load. So both must climb, significantly and by much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tokenforge.analysis.intervals import t_critical
from tokenforge.analysis.requests import Floats, Ints, TrialRequests
from tokenforge.analysis.throughput import Window, in_flight

_SLICES = 12
_LOOKS = 16
_MIN_REQUESTS = 60
_CONFIDENCE = 0.99
_MIN_GROWTH = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """Growth over the window as a share of the mean, per series; `is_over` when both are sure and large."""

    in_flight: float
    ttft: float
    is_over: bool


def is_over_saturated(climbs: Sequence[Climb | None]) -> bool:
    """Whether half of the trials or more show it."""
    over = sum(1 for one in climbs if one is not None and one.is_over)
    return over > 0 and over * 2 >= len(climbs)


def climb(requests: TrialRequests, ttft: Floats, window: Window) -> Climb | None:
    """How the trial developed in its window; None when it holds too few requests to say."""
    if window.length_s <= 0 or int((~np.isnan(ttft)).sum()) < _MIN_REQUESTS:
        return None
    edges = np.linspace(window.start_ns, window.end_ns, _SLICES + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    looks = np.concatenate([np.linspace(a, b, _LOOKS) for a, b in pairwise(edges)])
    flights = in_flight(requests, looks).reshape(_SLICES, _LOOKS).mean(axis=1)
    waits = _slice_means(ttft, np.digitize(requests.arrival_ns, edges) - 1)
    flight_growth, flight_sure = _growth(middles, flights)
    wait_growth, wait_sure = _growth(middles, waits)
    both = flight_sure and wait_sure and min(flight_growth, wait_growth) > _MIN_GROWTH
    return Climb(in_flight=flight_growth, ttft=wait_growth, is_over=both)


def _slice_means(values: Floats, slices: Ints) -> Floats:
    usable = ~np.isnan(values) & (slices >= 0) & (slices < _SLICES)
    counts = np.bincount(slices[usable], minlength=_SLICES)
    sums = np.bincount(slices[usable], weights=values[usable], minlength=_SLICES)
    means: Floats = np.divide(sums, counts, out=np.full(_SLICES, np.nan), where=counts > 0)
    return means


def _growth(times: Floats, values: Floats) -> tuple[float, bool]:
    """Fitted growth over the whole span as a share of the mean, and whether the slope is surely above zero."""
    known = ~np.isnan(values)
    x, y = times[known], values[known]
    if len(x) < 6 or float(y.mean()) <= 0:
        return 0.0, False
    centred = x - x.mean()
    slope = float((centred * y).sum() / (centred**2).sum())
    residual = y - y.mean() - slope * centred
    error = float(np.sqrt((residual**2).sum() / (len(x) - 2) / (centred**2).sum()))
    growth = slope * float(times[-1] - times[0]) / float(y.mean())
    return growth, slope > t_critical(confidence=_CONFIDENCE, freedom=len(x) - 2) * error
