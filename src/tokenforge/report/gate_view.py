"""What a gate's answer looks like, as ready text for the terminal and for Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenforge.analysis.gate import Gate, SubjectVerdict
from tokenforge.analysis.gate_metric import GateVerdict, MetricVerdict
from tokenforge.report.numbers import UNKNOWN, number_text

GATE_COLUMNS = ("metric", "earlier runs", "candidate", "change", "90 % interval", "margin", "p (Holm)", "verdict")
_MOST_CHANGES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSection:
    """A subject: its title, a row per metric under GATE_COLUMNS, and sentences to read with it."""

    title: str
    verdict: GateVerdict
    rows: tuple[tuple[str, ...], ...]
    sentences: tuple[str, ...]


def gate_headline(gate: Gate) -> str:
    """The answer in one sentence, with what decided it."""
    metrics = [(one, metric) for one in gate.subjects for metric in one.metrics]
    if gate.verdict is GateVerdict.NOT_REGRESSED:
        return f"Not regressed: all {len(metrics)} metrics are shown to be within their margin or better."
    named = [_named(one, metric) for one, metric in metrics if metric.verdict is gate.verdict]
    if gate.verdict is GateVerdict.REGRESSED:
        return f"Regressed: {'; '.join(named)}."
    barred = [reason for one in gate.subjects for reason in one.objections]
    return f"Inconclusive: {' '.join(barred)}" if barred else f"Inconclusive: {'; '.join(named)}."


def gate_sections(gate: Gate) -> tuple[GateSection, ...]:
    """A section per subject, in the order of the candidate's record."""
    return tuple(_section(one) for one in gate.subjects)


def _section(one: SubjectVerdict) -> GateSection:
    sentences = [*one.objections, *one.notes]
    sentences += [f"{metric.label}: {_needs(metric)}." for metric in one.metrics if _needs(metric)]
    noise = [_noise(metric) for metric in one.metrics if metric.within_cv is not None]
    sentences += [f"Noise ({'; '.join(noise)})."] if noise else []
    sentences += [f"Changed since {one.earlier[-1]}: {_changes(one)}."] if one.changed and one.earlier else []
    against = f"{_runs(one.candidates)} against {_runs(one.earlier)}, {one.trials} trials each"
    return GateSection(
        title=f"{one.subject}: {against}",
        verdict=one.verdict,
        rows=tuple(_row(metric) for metric in one.metrics),
        sentences=tuple(sentences),
    )


def _runs(labels: Sequence[str]) -> str:
    return labels[0] if len(labels) == 1 else f"{len(labels)} runs"


def _row(metric: MetricVerdict) -> tuple[str, ...]:
    interval = UNKNOWN
    if metric.low is not None and metric.high is not None:
        interval = f"{percent_text(metric.low)} to {percent_text(metric.high)}"
    return (
        f"{metric.label}, {metric.unit}",
        number_text(metric.earlier),
        number_text(metric.candidate),
        UNKNOWN if metric.change is None else percent_text(metric.change),
        interval,
        percent_text(metric.margin if not metric.higher_is_better else -metric.margin),
        UNKNOWN if metric.p is None else _chance(metric.p),
        str(metric.verdict),
    )


def percent_text(share: float) -> str:
    """A change as `+3.2 %`."""
    return f"{100 * share:+.1f} %"


def _chance(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _named(one: SubjectVerdict, metric: MetricVerdict) -> str:
    change = metric.note if metric.change is None else percent_text(metric.change)
    return f"{metric.label} {change} ({one.subject.workload} on {one.subject.runtime})"


def _needs(metric: MetricVerdict) -> str:
    """What an undecided metric would take."""
    if metric.verdict is not GateVerdict.INCONCLUSIVE:
        return metric.note or ""
    if metric.note is not None:
        return metric.note
    ways = []
    if metric.runs_needed is not None:
        ways.append(f"about {metric.runs_needed} more run{'s' * (metric.runs_needed > 1)} on both sides")
    if metric.trials_needed is not None:
        ways.append(f"about {metric.trials_needed} trials in every run")
    told = " or ".join(ways) or "more than 100 runs (the change is close to the margin, or the noise large)"
    return f"not decided; {told} would decide"


def _noise(metric: MetricVerdict) -> str:
    assert metric.within_cv is not None
    assert metric.between_cv is not None
    assumed = ", assumed" if metric.between_is_assumed else ""
    return f"{metric.label}: trials {100 * metric.within_cv:.1f} %, runs {100 * metric.between_cv:.1f} %{assumed}"


def _changes(one: SubjectVerdict) -> str:
    rest = len(one.changed) - _MOST_CHANGES
    return ", ".join(map(str, one.changed[:_MOST_CHANGES])) + (f" and {rest} more" if rest > 0 else "")
