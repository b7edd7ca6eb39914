"""One metric of a gate: the change, its interval, the verdict, and what more it would take.

Everything is in logarithms, with a sign that makes worse positive, so that throughput and latency read alike.
"""

import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from tokenforge.analysis.gate_noise import MIN_HISTORY, Contrast, contrast
from tokenforge.analysis.gate_reading import GateMetric, GateRun
from tokenforge.analysis.requests import Floats

SIGNIFICANCE = 0.05
_POWER = 0.80
_MOST_RUNS = 100
_MOST_TRIALS = 100


class GateVerdict(enum.StrEnum):
    """What a gate says, of one metric, one subject, or all."""

    REGRESSED = "regressed"
    NOT_REGRESSED = "not regressed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Values of one metric, of shape (runs, trials), the same trials on both sides; `margin` as a share (0.05)."""

    metric: GateMetric
    history: Floats
    candidate: Floats
    margin: float

    @property
    def sign(self) -> float:
        """+1 where more is worse."""
        return -1.0 if self.metric.higher_is_better else 1.0

    @property
    def worse_by(self) -> float:
        """The margin in log units, worse positive."""
        return -math.log1p(-self.margin) if self.metric.higher_is_better else math.log1p(self.margin)

    @property
    def flaw(self) -> str | None:
        """Why no ratio can be formed."""
        both = np.concatenate((self.history, self.candidate))
        if both.size == 0:
            return "the runs have no trial in common"
        if np.isnan(both).any():
            return "a trial has no value"
        return None if (both > 0).all() else "a trial's value is 0, which has no ratio"

    @property
    def collapsed(self) -> bool:
        """Nothing good came out any more, where every earlier trial had some."""
        return self.metric.higher_is_better and bool((self.candidate == 0).all() and (self.history > 0).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A series with its contrast (worse positive) and the p of "no worse"; no contrast: `note` says why."""

    series: Series
    contrast: Contrast | None
    p: float
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """One metric. `change` is candidate / earlier runs - 1 with its 90 % interval; `p` is Holm's, of "no worse".

    `runs_needed`: so many more runs on both sides would decide; `trials_needed`: so many trials in each run, instead.
    `within_cv` and `between_cv` are the noise of trials and of runs; the latter may be assumed.
    """

    metric: str
    label: str
    unit: str
    higher_is_better: bool
    earlier: float | None
    candidate: float | None
    change: float | None
    low: float | None
    high: float | None
    margin: float
    p: float | None
    verdict: GateVerdict
    runs_needed: int | None = None
    trials_needed: int | None = None
    within_cv: float | None = None
    between_cv: float | None = None
    between_is_assumed: bool = False
    note: str | None = None


def series_of(
    metric: GateMetric,
    history: Sequence[GateRun],
    candidates: Sequence[GateRun],
    *,
    trials: Sequence[int],
    margin: float,
) -> Series:
    """The values of the trials that all runs share; NaN where a run has none."""
    rows = [[run.values[metric.name].get(trial, math.nan) for trial in trials] for run in (*history, *candidates)]
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(trials))
    return Series(metric=metric, history=table[: len(history)], candidate=table[len(history) :], margin=margin)


def measure(series: Series, *, assumed_between: float) -> Tested:
    """Contrast the two sides of a series."""
    if series.collapsed:
        return Tested(series=series, contrast=None, p=0.0, note="fell to 0 in every trial")
    if series.flaw is not None:
        return Tested(series=series, contrast=None, p=1.0, note=series.flaw)
    logs = [series.sign * np.log(side) for side in (series.history, series.candidate)]
    found = contrast(logs[0], logs[1], assumed_between=assumed_between)
    if found is None:
        note = f"one trial a run and fewer than {MIN_HISTORY} earlier runs: nothing says how far results vary"
        return Tested(series=series, contrast=None, p=1.0, note=note)
    return Tested(series=series, contrast=found, p=found.chance_of_more(0.0))


def conclude(tested: Tested, *, p: float, tests: int) -> MetricVerdict:
    """The verdict, given Holm's p over `tests` metrics."""
    series, found = tested.series, tested.contrast
    verdict = _verdict(tested, p)
    undecided = found is not None and verdict is GateVerdict.INCONCLUSIVE
    bounds = [found.bound(level) for level in (SIGNIFICANCE, 1 - SIGNIFICANCE)] if found else []
    ends = sorted(math.expm1(series.sign * bound) for bound in bounds)
    return MetricVerdict(
        metric=series.metric.name,
        label=series.metric.label,
        unit=series.metric.unit,
        higher_is_better=series.metric.higher_is_better,
        earlier=_centre(series.history),
        candidate=_centre(series.candidate),
        change=math.expm1(series.sign * found.difference) if found else None,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
        margin=series.margin,
        p=p if found else None,
        verdict=verdict,
        runs_needed=_runs_needed(series, found, tests) if undecided and found else None,
        trials_needed=_trials_needed(series, found, tests) if undecided and found else None,
        within_cv=found.spread.within if found else None,
        between_cv=found.spread.between if found else None,
        between_is_assumed=found.spread.assumed if found else False,
        note=tested.note,
    )


def _verdict(tested: Tested, p: float) -> GateVerdict:
    if tested.contrast is None:
        return GateVerdict.REGRESSED if tested.series.collapsed else GateVerdict.INCONCLUSIVE
    margin = tested.series.worse_by
    if tested.contrast.bound(1 - SIGNIFICANCE) < margin:
        return GateVerdict.NOT_REGRESSED
    is_worse = p <= SIGNIFICANCE and tested.contrast.difference > margin
    return GateVerdict.REGRESSED if is_worse else GateVerdict.INCONCLUSIVE


def _runs_needed(series: Series, found: Contrast, tests: int) -> int | None:
    """More runs on both sides until this difference would be told in 4 of 5 tries; None: more than 100."""
    earlier, candidates = len(series.history), len(series.candidate)
    fewest = max(1, MIN_HISTORY - earlier)
    for more in range(fewest, _MOST_RUNS + 1):
        error = found.spread.run * math.sqrt(1 / (earlier + more) + 1 / (candidates + more))
        if _tells(series, found, error=error, freedom=earlier + candidates + 2 * more - 2, tests=tests):
            return more
    return None


def _trials_needed(series: Series, found: Contrast, tests: int) -> int | None:
    """Trials in every run that would do instead; None where runs differ too much for that, or that is not known."""
    if found.spread.assumed:
        return None
    earlier, candidates = len(series.history), len(series.candidate)
    shape = math.sqrt(1 / earlier + 1 / candidates)
    for trials in range(series.history.shape[1] + 1, _MOST_TRIALS + 1):
        run = math.hypot(found.spread.between, found.spread.within / math.sqrt(trials))
        if _tells(series, found, error=run * shape, freedom=found.freedom, tests=tests):
            return trials
    return None


def _tells(series: Series, found: Contrast, *, error: float, freedom: float, tests: int) -> bool:
    margin = series.worse_by
    is_worse = found.difference > margin
    distance = found.difference if is_worse else margin - found.difference
    level = SIGNIFICANCE / tests if is_worse else SIGNIFICANCE
    reach = float(stdtrit(freedom, 1 - level)) + float(stdtrit(freedom, _POWER))
    return reach * error <= distance


def _centre(values: Floats) -> float | None:
    """The geometric mean, which is what the ratio compares; the plain mean where a value is 0."""
    known = values[~np.isnan(values)]
    if known.size == 0:
        return None
    return float(np.exp(np.log(known).mean())) if (known > 0).all() else float(known.mean())


def holm(chances: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p values, in the order given."""
    order = sorted(range(len(chances)), key=chances.__getitem__)
    adjusted = dict(zip(order, _climb([chances[i] for i in order]), strict=True))
    return tuple(adjusted[i] for i in range(len(chances)))


def _climb(rising: Sequence[float]) -> Iterator[float]:
    highest = 0.0
    for place, chance in enumerate(rising):
        highest = max(highest, min(1.0, (len(rising) - place) * chance))
        yield highest
