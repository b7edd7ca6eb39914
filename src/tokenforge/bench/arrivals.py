"""When requests arrive: pure functions of a workload and a seed, in nanoseconds after a trial's start.

Every schedule is drawn before the run, so a slow server cannot slow it. Closed loops and traces have none here. What
arrives is a request, or the first turn of a conversation.
"""

import numpy as np
import numpy.typing as npt

from tokenforge.bench.chance import stream
from tokenforge.domain.workload import Arrival, Workload

_MARGIN = 1.2
_NS = 1e9


def arrival_times_ns(workload: Workload, *, seed: int) -> tuple[int, ...]:
    """Arrival times, ascending, bounded by the workload's `duration_s` and `requests`.

    poisson: exponential gaps of mean 1/qps. gamma: gaps with squared CV 1/burstiness. constant: equal gaps, the first
    request at once. ramp: a Poisson process whose rate goes linearly from `qps` to `ramp_to_qps` over `duration_s`.
    step: a Poisson process whose rate is that of the step it is in; a step ends where the next one begins.
    """
    if workload.arrival in {Arrival.CONCURRENCY, Arrival.TRACE}:
        raise ValueError(f"{workload.arrival} arrivals have no schedule of their own")
    if workload.arrival is Arrival.STEP:
        times = _steps(workload, seed=seed)
    elif workload.arrival is Arrival.CONSTANT:
        times = _constant(workload)
    elif workload.arrival is Arrival.RAMP:
        times = _ramp(workload, seed=seed)
    else:
        times = _renewal(workload, seed=seed)
    whole = np.round(times * _NS).astype(np.int64)
    return tuple(int(time) for time in whole[: workload.requests])


def most_arrivals(workload: Workload) -> int:
    """Arrivals that nearly no seed exceeds (four standard deviations of a Poisson count); exact where it is exact."""
    if workload.requests is not None:
        return workload.requests
    rate, span = workload.qps or 0.0, workload.duration_s or 0.0
    expected = (rate + (rate if workload.ramp_to_qps is None else workload.ramp_to_qps)) / 2 * span
    if workload.arrival is Arrival.STEP:
        expected = sum(step.qps * step.duration_s for step in workload.steps)
    spread = 0.0 if workload.arrival is Arrival.CONSTANT else 4 * np.sqrt(expected)
    return max(1, int(np.ceil(expected + spread)))


def _constant(workload: Workload) -> npt.NDArray[np.float64]:
    assert workload.qps is not None
    if workload.duration_s is None:
        return np.arange(workload.requests or 0) / workload.qps
    return np.arange(int(np.ceil(workload.duration_s * workload.qps - 1e-9))) / workload.qps


def _renewal(workload: Workload, *, seed: int) -> npt.NDArray[np.float64]:
    """Sums of independent gaps until the bound: exponential (shape 1) or gamma of shape `burstiness`."""
    assert workload.qps is not None
    shape = workload.burstiness if workload.arrival is Arrival.GAMMA else 1.0
    chance = stream(seed, "arrivals")
    times = np.zeros(0)
    while not _is_enough(times, workload):
        count = max(64, int(_MARGIN * (workload.requests or workload.qps * (workload.duration_s or 0))))
        gaps = chance.gamma(shape, 1 / (shape * workload.qps), size=count)
        times = np.concatenate([times, (times[-1] if times.size else 0.0) + np.cumsum(gaps)])
    return times if workload.duration_s is None else times[times < workload.duration_s]


def _is_enough(times: npt.NDArray[np.float64], workload: Workload) -> bool:
    if not times.size:
        return False
    if workload.requests is not None and times.size >= workload.requests:
        return True
    return workload.duration_s is not None and times[-1] >= workload.duration_s


def _ramp(workload: Workload, *, seed: int) -> npt.NDArray[np.float64]:
    """A unit-rate Poisson process, mapped through the inverse of the ramp's cumulative rate."""
    assert workload.qps is not None
    assert workload.ramp_to_qps is not None
    assert workload.duration_s is not None
    low, slope = float(workload.qps), (workload.ramp_to_qps - workload.qps) / workload.duration_s
    total = (workload.qps + workload.ramp_to_qps) / 2 * workload.duration_s
    unit = _unit_rate(total, seed=seed)
    if abs(slope) < 1e-12:
        return unit / low
    return (np.sqrt(low * low + 2 * slope * unit) - low) / slope


def _steps(workload: Workload, *, seed: int) -> npt.NDArray[np.float64]:
    """The same through the inverse of the steps' cumulative rate, a broken line; a pause has no width there."""
    rates = np.array([step.qps for step in workload.steps])
    spans = np.array([step.duration_s for step in workload.steps])
    expected = np.cumsum(rates * spans)
    begins, before = (np.concatenate([[0.0], sums[:-1]]) for sums in (np.cumsum(spans), expected))
    unit = _unit_rate(float(expected[-1]), seed=seed)
    place = np.searchsorted(expected, unit, side="right")
    times: npt.NDArray[np.float64] = begins[place] + (unit - before[place]) / rates[place]
    return times


def _unit_rate(total: float, *, seed: int) -> npt.NDArray[np.float64]:
    """The arrivals of a Poisson process of rate 1 before `total`."""
    unit = np.cumsum(stream(seed, "arrivals").exponential(1.0, size=int(total + 10 * np.sqrt(total) + 64)))
    return unit[unit < total]
