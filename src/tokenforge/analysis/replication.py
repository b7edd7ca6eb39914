"""Did a second run give the first one's numbers? Trials are paired by plan, so what a plan does to them cancels.

Two runs do not tell how far runs differ, so the margin stands for that: numbers that agree within it are replicated,
numbers shown to differ, and by more than it, are not. Where machine or software differ, that is the answer, because
then nobody can say what a difference, or the lack of one, means.
"""

import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenforge.analysis.compare import Verdict, compare_paired
from tokenforge.analysis.gate_reading import METRICS, GateRun, Subject
from tokenforge.analysis.likeness import Difference, differences


class Answer(enum.StrEnum):
    """What a repetition says."""

    REPLICATED = "replicated"
    NOT_REPLICATED = "not replicated"
    ENVIRONMENT_DIFFERS = "environment differs"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedMetric:
    """One metric of both runs. `ratio` is again / original with its 95 % interval; `agrees` None: not decided."""

    subject: Subject
    metric: str
    label: str
    unit: str
    original: float | None
    again: float | None
    ratio: float | None
    low: float | None
    high: float | None
    trials: int
    agrees: bool | None
    trials_needed: int | None
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """The answer; `numbers` is what the metrics alone say, whatever differs around them."""

    answer: Answer
    numbers: Answer
    margin: float
    metrics: tuple[RepeatedMetric, ...]
    differences: tuple[Difference, ...]
    objections: tuple[str, ...]


def replicate(original: Sequence[GateRun], again: Sequence[GateRun], *, margin: float) -> Replication:
    """Compare the runs of two records, subject by subject."""
    second = {run.subject: run for run in again}
    pairs = [(run, second[run.subject]) for run in original if run.subject in second]
    objections = [f"{run.subject} was not run again." for run in original if run.subject not in second]
    objections += [why for pair in pairs for run in pair if (why := run.objection) is not None]
    metrics = tuple(one for left, right in pairs for one in _metrics(left, right, margin=margin))
    found = tuple(dict.fromkeys(one for left, right in pairs for one in differences(left.recorded, right.recorded)))
    numbers = Answer.UNDECIDED if objections else _numbers(metrics)
    return Replication(
        answer=Answer.ENVIRONMENT_DIFFERS if found else numbers,
        numbers=numbers,
        margin=margin,
        metrics=metrics,
        differences=found,
        objections=tuple(objections),
    )


def _numbers(metrics: Sequence[RepeatedMetric]) -> Answer:
    agree = [one.agrees for one in metrics]
    if False in agree:
        return Answer.NOT_REPLICATED
    return Answer.REPLICATED if agree and all(agree) else Answer.UNDECIDED


def _metrics(left: GateRun, right: GateRun, *, margin: float) -> Iterator[RepeatedMetric]:
    for name in left.metrics:
        metric = METRICS[name]
        before, after = left.values[name], right.values[name]
        paired = compare_paired(before, after, higher_is_better=metric.higher_is_better, delta=margin)
        is_off = paired.ratio is not None and abs(math.log(paired.ratio)) > math.log1p(margin)
        agrees = True if paired.verdict is Verdict.EQUIVALENT else None
        if paired.verdict in {Verdict.BETTER, Verdict.WORSE} and is_off:
            agrees = False
        yield RepeatedMetric(
            subject=left.subject,
            metric=name,
            label=metric.label,
            unit=metric.unit,
            original=_mean(list(before.values())),
            again=_mean(list(after.values())),
            ratio=paired.ratio,
            low=paired.low,
            high=paired.high,
            trials=paired.trials,
            agrees=agrees,
            trials_needed=paired.trials_needed if agrees is None else None,
            note=paired.note,
        )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
