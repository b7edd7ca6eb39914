"""Which metrics are compared, between which runs, and the sentence each comparison makes.

The first runtime of a model and workload, in the order the user wrote, is the baseline of the others. In an open loop
that the server keeps up with, throughput is what the load offered; saying that two engines "tie" there, or that one
"wins" by a hair, would be false, so such a row says who set the number instead.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tokenforge.analysis.compare import Paired, Verdict, compare_paired
from tokenforge.analysis.document import RunFacts
from tokenforge.analysis.figures import Comparison, RunSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run's summary beside what was recorded of it."""

    facts: RunFacts
    summary: RunSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metric:
    """`source` is a latency metric, or None for output tokens per second."""

    name: str
    label: str
    unit: str
    source: str | None
    statistic: str = "mean"


_OPEN = (
    _Metric(name="ttft_mean", label="mean TTFT", unit="ms", source="ttft"),
    _Metric(name="ttft_p50", label="median TTFT", unit="ms", source="ttft", statistic="p50"),
    _Metric(name="tpot_mean", label="mean TPOT", unit="ms", source="tpot"),
    _Metric(name="e2e_mean", label="mean end-to-end latency", unit="ms", source="e2e"),
    _Metric(name="output_tokens_per_s", label="output throughput", unit="tokens/s", source=None),
)
_CLOSED = (
    _Metric(name="output_tokens_per_s", label="output throughput", unit="tokens/s", source=None),
    _Metric(name="ttft_mean", label="mean TTFT from the send", unit="ms", source="ttft_service"),
    _Metric(name="ttft_p50", label="median TTFT from the send", unit="ms", source="ttft_service", statistic="p50"),
    _Metric(name="tpot_mean", label="mean TPOT", unit="ms", source="tpot"),
    _Metric(name="e2e_mean", label="mean end-to-end latency from the send", unit="ms", source="e2e_service"),
)

_OTHER_PLAN = "Their plans differ (other prompts or lengths), so this is not like for like."


def compare_runs(measured: Sequence[Measured]) -> tuple[Comparison, ...]:
    """Every runtime against the first of its model and workload, metric by metric; runs without answers are skipped."""
    groups: dict[tuple[str, str], list[Measured]] = {}
    for one in measured:
        if one.summary.ok:
            groups.setdefault((one.summary.model, one.summary.workload), []).append(one)
    return tuple(
        _compare(group[0], other, metric)
        for group in groups.values()
        for other in group[1:]
        for metric in (_OPEN if other.facts.workload.is_open else _CLOSED)
    )


def _compare(baseline: Measured, other: Measured, metric: _Metric) -> Comparison:
    left, right = _per_trial(baseline.summary, metric), _per_trial(other.summary, metric)
    paired = compare_paired(left, right, higher_is_better=metric.source is None)
    if metric.source is None and _is_offered(baseline.summary) and _is_offered(other.summary):
        paired = Paired(
            ratio=paired.ratio,
            low=paired.low,
            high=paired.high,
            trials=paired.trials,
            verdict=Verdict.OFFERED,
            trials_needed=None,
        )
    same_plan = _have_same_plan(baseline.facts, other.facts)
    sentence = _sentence(
        paired, metric, baseline=_said(baseline.summary), runtime=_said(other.summary), run=other.summary
    )
    return Comparison(
        model=other.summary.model,
        workload=other.summary.workload,
        baseline=baseline.summary.runtime,
        runtime=other.summary.runtime,
        metric=metric.name,
        label=metric.label,
        unit=metric.unit,
        higher_is_better=metric.source is None,
        baseline_value=_mean(left),
        runtime_value=_mean(right),
        ratio=paired.ratio,
        low=paired.low,
        high=paired.high,
        trials=paired.trials,
        trials_needed=paired.trials_needed,
        verdict=paired.verdict,
        same_plan=same_plan,
        sentence=sentence if same_plan else f"{sentence} {_OTHER_PLAN}",
    )


def _have_same_plan(left: RunFacts, right: RunFacts) -> bool:
    """Whether every trial that both ran was planned alike."""
    plans = {trial.trial: trial.plan_digest for trial in left.trials}
    return all(plans.get(trial.trial, trial.plan_digest) == trial.plan_digest for trial in right.trials)


def _said(run: RunSummary) -> str:
    """The runtime's name in a sentence: a simulator is never mentioned without saying so."""
    return f"{run.runtime} (simulated)" if run.simulated else run.runtime


def _per_trial(run: RunSummary, metric: _Metric) -> Mapping[int, float]:
    if metric.source is None:
        return {t.trial: t.output_tokens_per_s for t in run.trials if t.output_tokens_per_s is not None}
    trials = run.latencies[metric.source].per_trial
    return {t.trial: value for t in trials if (value := getattr(t, metric.statistic)) is not None}


def _is_offered(run: RunSummary) -> bool:
    """An open loop that the server kept up with."""
    return run.loop == "open" and not run.saturated


def _mean(values: Mapping[int, float]) -> float | None:
    return sum(values.values()) / len(values) if values else None


def _sentence(paired: Paired, metric: _Metric, *, baseline: str, runtime: str, run: RunSummary) -> str:
    if paired.ratio is None:
        return f"{runtime} and {baseline} cannot be compared in {metric.label}: {paired.note}."
    if paired.verdict is Verdict.OFFERED:
        rate = f"{run.asked_rate:.4g} requests/s" if run.asked_rate is not None else "load"
        return (
            f"Both kept up with the {rate} that were offered, so the load set the {metric.label}, not the engine; "
            "use `arrival: concurrency` to compare the most they can do."
        )
    if paired.verdict is Verdict.EQUIVALENT:
        return f"{runtime} and {baseline} are equivalent in {metric.label} (within 5 %), {_evidence(paired)}."
    return _difference(paired, metric, baseline=baseline, runtime=runtime)


def _difference(paired: Paired, metric: _Metric, *, baseline: str, runtime: str) -> str:
    assert paired.ratio is not None
    runtime_wins = (paired.ratio > 1) == (metric.source is None)
    winner, loser = (runtime, baseline) if runtime_wins else (baseline, runtime)
    factor = max(paired.ratio, 1 / paired.ratio)
    if metric.source is None:
        claim = f"{winner} had {factor:.2f}x the {metric.label} of {loser}"
    else:
        claim = f"{winner} was {factor:.2f}x faster than {loser} in {metric.label}"
    if paired.verdict is not Verdict.INCONCLUSIVE:
        return f"{claim}, {_evidence(paired)}."
    missing = paired.note or f"{_evidence(paired)}; about {paired.trials_needed} paired trials would tell"
    return f"{claim}, but that is not certain: {missing}."


def _evidence(paired: Paired) -> str:
    """The interval as a factor above 1 where the difference is one-sided, else as the plain ratio."""
    trials = f"{paired.trials} paired trials"
    if paired.low is None or paired.high is None or paired.ratio is None:
        return trials
    low, high = (paired.low, paired.high) if paired.ratio >= 1 else (1 / paired.high, 1 / paired.low)
    return f"95 % interval {low:.2f} to {high:.2f}, {trials}"
