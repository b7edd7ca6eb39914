"""One metric of a comparison: its quads, the ratio B / A with its interval, and how much of it is noise."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tokenforge.analysis.compare import Paired, Verdict, compare_ratios
from tokenforge.analysis.document import RunFacts
from tokenforge.analysis.figures import RunSummary
from tokenforge.analysis.gate_reading import METRICS, GateMetric
from tokenforge.analysis.intervals import MIN_TRIALS, samples_needed
from tokenforge.analysis.power import smallest_effect, trials_per_arm
from tokenforge.analysis.quads import Quad, quads_of
from tokenforge.domain.comparison import SIDES

_OPEN = ("e2e_mean", "ttft_mean", "tpot_mean", "itl_p99", "output_tokens_per_s")
_CLOSED = ("output_tokens_per_s", "e2e_mean", "ttft_mean", "tpot_mean", "itl_p99")
_SERVICE = frozenset({"ttft", "e2e"})
_OFFERED = "both kept up with the load, so the load set it, not the engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """How much ratios differ by chance, all as shares.

    `quad_cv` is the spread of the quads' ratios, `trial_cv` that of one side's trials. `sees` is the smallest
    difference that so many quads show with 80 % power. `unpaired_trials` is how many trials on each side it would take
    to see `delta` if they were not paired.
    """

    quad_cv: float
    trial_cv: float
    sees: float
    unpaired_trials: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuadMetric:
    """`ratio` is B / A over quads with its 95 % interval, `inner_low` to `inner_high` the 90 % one for equivalence.

    `verdict` speaks of B, of this metric alone. `quads_needed`: so many would decide, None where it is decided.
    """

    metric: str
    label: str
    unit: str
    higher_is_better: bool
    a_value: float | None
    b_value: float | None
    ratio: float | None
    low: float | None
    high: float | None
    inner_low: float | None
    inner_high: float | None
    verdict: Verdict
    quads_needed: int | None
    note: str | None
    noise: Noise | None
    quads: tuple[Quad, ...]


def default_metric(*, is_open: bool) -> str:
    """What decides unless the user says otherwise: end-to-end latency under a load, throughput of a closed loop."""
    return _OPEN[0] if is_open else _CLOSED[0]


def other_metrics(primary: str, *, is_open: bool) -> tuple[str, ...]:
    """What is shown beside the metric that decides."""
    return tuple(name for name in (_OPEN if is_open else _CLOSED) if name != primary)


def measure_quads(
    name: str, a: tuple[RunFacts, RunSummary], b: tuple[RunFacts, RunSummary], *, delta: float
) -> QuadMetric:
    """Compare two runs in one metric. `name` is one of METRICS."""
    metric = METRICS[name]
    left, right = (_trial_values(summary, metric) for _, summary in (a, b))
    positions = {
        (side, trial.trial): trial.position or 0
        for side, (facts, _) in zip(SIDES, (a, b), strict=True)
        for trial in facts.trials
    }
    quads = quads_of(left, right, positions=positions)
    paired = _paired(metric, quads, (a[1], b[1]), delta=delta)
    return QuadMetric(
        metric=name,
        label=metric.label,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        a_value=_mean(left),
        b_value=_mean(right),
        ratio=paired.ratio,
        low=paired.low,
        high=paired.high,
        inner_low=paired.inner_low,
        inner_high=paired.inner_high,
        verdict=paired.verdict,
        quads_needed=paired.trials_needed,
        note=paired.note,
        noise=_noise(quads, delta=delta),
        quads=quads,
    )


def _paired(metric: GateMetric, quads: Sequence[Quad], runs: tuple[RunSummary, RunSummary], *, delta: float) -> Paired:
    if not quads:
        return _undecided("no quad in which all four trials have it")
    if metric.statistic == "p99" and not all(_carries_p99(run, metric) for run in runs):
        return _undecided("p99 is not estimable from trials of this size")
    ratios = [quad.ratio for quad in quads]
    paired = compare_ratios(ratios, higher_is_better=metric.higher_is_better, delta=delta, unit="quads")
    if metric.name == "output_tokens_per_s" and all(run.loop == "open" and not run.saturated for run in runs):
        return replace(paired, verdict=Verdict.OFFERED, trials_needed=None, note=_OFFERED)
    return paired


def _undecided(note: str) -> Paired:
    verdict = Verdict.INCONCLUSIVE
    return Paired(ratio=None, low=None, high=None, trials=0, verdict=verdict, trials_needed=None, note=note)


def _trial_values(run: RunSummary, metric: GateMetric) -> Mapping[int, float]:
    if metric.source is None:
        rates = {rate.trial: getattr(rate, metric.name) for rate in run.trials}
        return {trial: value for trial, value in rates.items() if value is not None}
    found = run.latencies[_source(run, metric)].per_trial
    return {one.trial: value for one in found if (value := getattr(one, metric.statistic)) is not None}


def _carries_p99(run: RunSummary, metric: GateMetric) -> bool:
    """Whether every trial has values enough for a p99 of its own."""
    counts = [one.count for one in run.latencies[_source(run, metric)].per_trial]
    return min(counts, default=0) >= samples_needed(quantile=0.99)


def _source(run: RunSummary, metric: GateMetric) -> str:
    """A closed loop has no schedule: there latencies count from the send."""
    assert metric.source is not None
    return f"{metric.source}_service" if run.loop == "closed" and metric.source in _SERVICE else metric.source


def _noise(quads: Sequence[Quad], *, delta: float) -> Noise | None:
    if len(quads) < MIN_TRIALS:
        return None
    spread = float(np.std([math.log(quad.ratio) for quad in quads], ddof=1))
    sides = ([value for quad in quads for value in quad.a], [value for quad in quads for value in quad.b])
    cv = float(np.mean([np.std(np.log(values), ddof=1) for values in sides]))
    return Noise(
        quad_cv=spread,
        trial_cv=cv,
        sees=math.expm1(smallest_effect(spread=spread, pairs=len(quads))),
        unpaired_trials=trials_per_arm(cv=max(cv, 1e-6), effect=delta),
    )


def _mean(values: Mapping[int, float]) -> float | None:
    return sum(values.values()) / len(values) if values else None
