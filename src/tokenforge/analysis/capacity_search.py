"""The highest rate that a server holds within its limits: which rate to try next, and what the tries say together.

Pure: the state is the list of probes so far. First rates double or halve until one holds and one does not, then the
bracket is halved, then probes are repeated close to the root, where a centred isotonic fit (attainment never rises with
the rate) says where the target is crossed. What may be relied on is not that point but the interval's lower end.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.optimize import isotonic_regression

from tokenforge.analysis.intervals import samples_needed, wilson

_CLOSE = 1.2
_OFFSETS = (-4, 2, -2, 1, -3, 4, -1, 3)
_NEIGHBOURS = 1.3
_GROWTH = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRules:
    """How to search. `attainment` is the share that must be good; rates in requests/s, times in seconds.

    `bracket` is the relative width at which the interval is narrow enough. A probe counts enough requests for its claim
    (MLPerf's rule, close to the root with so many `misses` allowed) and lasts from `min_probe_s` to `max_probe_s`,
    after `warmup_s` that are offered but not counted.
    """

    attainment: float
    start_rate: float = 1.0
    bracket: float = 0.05
    max_trials: int = 24
    warmup_s: float = 10.0
    min_probe_s: float = 20.0
    max_probe_s: float = 300.0
    misses: int = 20
    highest_rate: float = 10_000.0

    @property
    def lowest_rate(self) -> float:
        """No lower rate is tried: at it, the longest probe has 20 requests."""
        return min(self.start_rate, 20 / self.max_probe_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What one probe at `rate` said: `good` of `attempted` requests, worth `effective` independent ones."""

    rate: float
    good: int
    attempted: int
    effective: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The next probe: its rate in requests/s, and how long to offer it, of which `warmup_s` is not counted."""

    rate: float
    duration_s: float
    warmup_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePoint:
    """All probes of one rate: their share of good requests, its interval, what they are worth, and how many."""

    rate: float
    share: float
    low: float
    high: float
    effective: float
    probes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Requests/s within the limits. `value` is the fitted root, kept within `low` (shown to hold) and `high` (not).

    Absent is None, and then `note` says why. `fit` are (rate, attainment) of the isotonic fit.
    """

    value: float | None
    low: float | None
    high: float | None
    note: str | None
    points: tuple[RatePoint, ...]
    fit: tuple[tuple[float, float], ...]


def next_probe(rules: SearchRules, probes: Sequence[Probe]) -> Ask | None:
    """The probe to run now; None when the search is over."""
    if len(probes) >= rules.max_trials:
        return None
    if not probes:
        return _ask(rules, rules.start_rate, over=0)
    found = read_capacity(rules, probes)
    holds, fails = _sides(rules, found)
    if fails is None:
        rate = max(probe.rate for probe in probes) * _GROWTH
        return _ask(rules, rate, over=0) if rate <= rules.highest_rate else None
    if holds is None:
        rate = fails / _GROWTH
        return _ask(rules, rate, over=0) if rate >= rules.lowest_rate else None
    if fails / holds > _CLOSE:
        return _ask(rules, math.sqrt(holds * fails), over=0)
    return _near_root(rules, found, probes)


def read_capacity(rules: SearchRules, probes: Sequence[Probe]) -> Capacity:
    """What the probes so far say together."""
    points = _points(probes)
    if not points:
        return Capacity(value=None, low=None, high=None, note="no probe was run", points=(), fit=())
    fit = _fit(points, rules.attainment)
    holding = [one.rate for number, one in enumerate(points) if _proved(points[number:]) >= rules.attainment]
    failing = [one.rate for number, one in enumerate(points) if _disproved(points[: number + 1]) < rules.attainment]
    low, high = max(holding, default=None), min(failing, default=None)
    value = _within(_root(fit, rules.attainment), low, high)
    note = _note(rules, value, low, points)
    return Capacity(value=value, low=low, high=high, note=note, points=points, fit=fit)


def _ask(rules: SearchRules, rate: float, *, over: int) -> Ask:
    counted = samples_needed(quantile=min(rules.attainment, 0.9999), over=over)
    counted_s = min(max(counted / rate, rules.min_probe_s), max(rules.max_probe_s, rules.min_probe_s))
    return Ask(rate=rate, duration_s=rules.warmup_s + counted_s, warmup_s=rules.warmup_s)


def _near_root(rules: SearchRules, found: Capacity, probes: Sequence[Probe]) -> Ask | None:
    """A probe close to the root, on a grid (so that probes repeat) and inside what is not decided yet."""
    assert found.value is not None
    low, high = found.low or 0.0, found.high or math.inf
    if 0 < low < high <= low * (1 + rules.bracket):
        return None
    if low >= high:
        low, high = 0.0, math.inf
    step = 1 + rules.bracket / 2
    middle = round(math.log(found.value / rules.start_rate, step))
    for number in range(len(_OFFSETS)):
        offset = _OFFSETS[(len(probes) + number) % len(_OFFSETS)]
        rate = rules.start_rate * step ** (middle + offset)
        if low < rate < high:
            return _ask(rules, rate, over=rules.misses)
    return _ask(rules, math.sqrt(low * high), over=rules.misses)


def _sides(rules: SearchRules, found: Capacity) -> tuple[float | None, float | None]:
    """The highest rate whose fitted attainment reaches the target, and the lowest whose does not."""
    shares = _isotonic(found.points)
    holds = [one.rate for one, share in zip(found.points, shares, strict=True) if share >= rules.attainment]
    fails = [one.rate for one, share in zip(found.points, shares, strict=True) if share < rules.attainment]
    return max(holds, default=None), min(fails, default=None)


def _points(probes: Sequence[Probe]) -> tuple[RatePoint, ...]:
    by_rate: dict[float, list[Probe]] = {}
    for probe in probes:
        if probe.attempted > 0:
            by_rate.setdefault(round(probe.rate, 9), []).append(probe)
    return tuple(_point(rate, by_rate[rate], memory=_memory(rate, probes)) for rate in sorted(by_rate))


def _memory(rate: float, probes: Sequence[Probe]) -> float:
    """Requests per independent one near a rate: the most of any probe there, since short ones see too little."""
    near = [one for one in probes if one.effective > 0 and 1 / _NEIGHBOURS <= one.rate / rate <= _NEIGHBOURS]
    return max((one.attempted / one.effective for one in near), default=1.0)


def _point(rate: float, probes: Sequence[Probe], *, memory: float) -> RatePoint:
    attempted = sum(probe.attempted for probe in probes)
    effective = attempted / memory
    share = sum(probe.good for probe in probes) / attempted
    between = wilson(successes=share * effective, total=effective)
    assert between.low is not None
    assert between.high is not None
    return RatePoint(
        rate=rate, share=share, low=between.low, high=between.high, effective=effective, probes=len(probes)
    )


def _isotonic(points: Sequence[RatePoint]) -> list[float]:
    """The fitted attainment of each point, never rising."""
    shares, weights = [one.share for one in points], [one.effective for one in points]
    fitted: list[float] = isotonic_regression(shares, weights=weights, increasing=False).x.tolist()
    return fitted


def _fit(points: Sequence[RatePoint], target: float) -> tuple[tuple[float, float], ...]:
    """The isotonic fit, each flat stretch next to the target put at its centre of weight (centred isotonic regression).

    Only neighbours of the crossing are drawn to a centre: rates far below all hold, and say nothing of where it is.
    """
    fitted = list(zip(points, _isotonic(points), strict=True))
    above = [one.rate for one, share in fitted if share >= target]
    below = [one.rate for one, share in fitted if share < target]
    blocks: dict[float, list[RatePoint]] = {}
    for one, share in fitted:
        is_far = one.rate * _NEIGHBOURS < max(above, default=0.0) or one.rate > _NEIGHBOURS * min(
            below, default=math.inf
        )
        blocks.setdefault(one.rate if is_far else -share, []).append(one)
    shares = {one.rate: share for one, share in fitted}
    return tuple(sorted((_centre(block), shares[block[0].rate]) for block in blocks.values()))


def _centre(block: Sequence[RatePoint]) -> float:
    logs = [math.log(one.rate) for one in block]
    return math.exp(float(np.average(logs, weights=[one.effective for one in block])))


def _root(fit: Sequence[tuple[float, float]], target: float) -> float | None:
    """Where the fit crosses the target, linear between its points in the rate's logarithm."""
    for (left, above), (right, below) in pairwise(fit):
        if above >= target > below:
            part = (above - target) / (above - below)
            return float(left * (right / left) ** part)
    return None


def _within(value: float | None, low: float | None, high: float | None) -> float | None:
    """The root, no lower than a rate that was shown to hold and no higher than one that was shown not to.

    The fit's flat stretches are drawn to their centres, which may lie beyond. Where both contradict, it stays.
    """
    least, most = low or 0.0, high or math.inf
    return value if value is None or least > most else min(max(value, least), most)


def _proved(points: Sequence[RatePoint]) -> float:
    """The lower bound of attainment at the first rate: higher rates can only be worse, so they may be pooled in."""
    return max(_pooled(points[:end])[0] for end in range(1, len(points) + 1))


def _disproved(points: Sequence[RatePoint]) -> float:
    """The upper bound of attainment at the last rate: lower rates can only be better."""
    return min(_pooled(points[start:])[1] for start in range(len(points)))


def _pooled(points: Sequence[RatePoint]) -> tuple[float, float]:
    effective = sum(one.effective for one in points)
    good = sum(one.share * one.effective for one in points)
    between = wilson(successes=good, total=effective)
    assert between.low is not None
    assert between.high is not None
    return between.low, between.high


def _note(rules: SearchRules, value: float | None, low: float | None, points: Sequence[RatePoint]) -> str | None:
    first, last = points[0], points[-1]
    if value is None and first.share < rules.attainment:
        return (
            f"cannot meet the limits: at {first.rate:.3g} req/s, the lowest rate tried, {first.share:.1%} of requests "
            f"were good ({first.low:.1%} to {first.high:.1%}), {rules.attainment:.1%} are asked"
        )
    if value is None:
        return f"not reached: {last.share:.1%} were still good at {last.rate:.4g} req/s, the highest rate tried"
    if low is None:
        return f"no rate was shown to hold {rules.attainment:.1%}: more trials would tell"
    return None
