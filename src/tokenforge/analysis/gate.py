"""Did it regress? Candidate runs against a history of runs that are like them.

`regressed`: shown to be worse, and by more than the margin as far as can be told. `not regressed`: shown to be no worse
than the margin, in every metric. `inconclusive`: neither, and then how much more would decide. The chance that a gate
over several metrics calls a regression where there is none is held at 5 % for all of them together (Holm, 1979); that
all metrics are within the margin needs no such correction (an intersection-union test, Berger, 1982).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tokenforge.analysis.changepoint import last_change
from tokenforge.analysis.gate_metric import GateVerdict, MetricVerdict, Series, conclude, holm, measure, series_of
from tokenforge.analysis.gate_noise import ASSUMED_BETWEEN, MIN_HISTORY
from tokenforge.analysis.gate_reading import METRICS, GateRun, Subject
from tokenforge.analysis.gate_selection import Contest, Selection
from tokenforge.analysis.likeness import Difference

GATE_SCHEMA = "tokenforge.gate/1"
DEFAULT_MARGIN = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """What the user asked: margins as shares (0.05), by metric where they differ; metrics other than the usual ones.

    `assumed_between` is the spread of runs (as a share) that stands in until three earlier runs say it.
    """

    margin: float = DEFAULT_MARGIN
    margins: Mapping[str, float] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    assumed_between: float = ASSUMED_BETWEEN


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectVerdict:
    """One model on one runtime under one workload. `earlier` and `candidates` are the runs used, by their labels.

    `trials` is how many each run had in common; `objections` why it can't pass; `changed` which software differs.
    """

    subject: Subject
    verdict: GateVerdict
    earlier: tuple[str, ...]
    candidates: tuple[str, ...]
    trials: int
    metrics: tuple[MetricVerdict, ...]
    changed: tuple[Difference, ...]
    notes: tuple[str, ...]
    objections: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The whole answer."""

    schema: str = GATE_SCHEMA
    verdict: GateVerdict
    subjects: tuple[SubjectVerdict, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bout:
    contest: Contest
    history: tuple[GateRun, ...]
    series: tuple[Series, ...]
    trials: tuple[int, ...]
    notes: tuple[str, ...]


def run_gate(selection: Selection, rules: GateRules) -> Gate:
    """Judge every contest; p values are corrected over all metrics of all of them."""
    bouts = [_bout(contest, rules) for contest in selection.contests]
    tested = [[measure(series, assumed_between=rules.assumed_between) for series in bout.series] for bout in bouts]
    adjusted = iter(holm([one.p for row in tested for one in row]))
    tests = sum(map(len, tested))
    subjects = tuple(
        _subject_verdict(bout, [conclude(one, p=next(adjusted), tests=tests) for one in row])
        for bout, row in zip(bouts, tested, strict=True)
    )
    verdict = _overall([one.verdict for one in subjects])
    return Gate(verdict=verdict, subjects=subjects, notes=selection.notes)


def _bout(contest: Contest, rules: GateRules) -> _Bout:
    """The series of a contest since its history's last change; none where it can't be judged."""
    trials = _shared_trials([*contest.history, *contest.candidates])
    if contest.objections or not contest.history:
        return _Bout(contest=contest, history=contest.history, series=(), trials=trials, notes=())
    names = rules.metrics or contest.candidates[-1].metrics
    series = _all_series(contest, contest.history, names=names, trials=trials, rules=rules)
    start, notes = _since_change(series, contest.history)
    if start:
        series = _all_series(contest, contest.history[start:], names=names, trials=trials, rules=rules)
    kept = contest.history[start:]
    notes += _notes(kept, contest.candidates, trials=trials, rules=rules)
    return _Bout(contest=contest, history=kept, series=series, trials=trials, notes=tuple(notes))


def _all_series(
    contest: Contest, history: Sequence[GateRun], *, names: Sequence[str], trials: Sequence[int], rules: GateRules
) -> tuple[Series, ...]:
    return tuple(
        series_of(
            METRICS[name],
            history,
            contest.candidates,
            trials=trials,
            margin=rules.margins.get(name, rules.margin),
        )
        for name in names
    )


def _shared_trials(runs: Sequence[GateRun]) -> tuple[int, ...]:
    return tuple(sorted(set.intersection(*(set(run.plans) for run in runs)))) if runs else ()


def _since_change(series: Sequence[Series], history: Sequence[GateRun]) -> tuple[int, list[str]]:
    whole = [one for one in series if one.flaw is None]
    if not whole:
        return 0, []
    change = last_change(np.array([np.log(one.history).mean(axis=1) for one in whole]))
    if change is None:
        return 0, []
    metric, count = whole[change.row].metric, len(history) - change.start
    return change.start, [
        f"The history changed at {history[change.start].label} ({metric.label} {np.expm1(change.step):+.1%}): "
        f"only the {count} runs since then count."
    ]


def _notes(
    history: Sequence[GateRun], candidates: Sequence[GateRun], *, trials: Sequence[int], rules: GateRules
) -> list[str]:
    notes = []
    if len(history) < MIN_HISTORY:
        runs = "1 earlier run says" if len(history) == 1 else f"{len(history)} earlier runs say"
        notes.append(
            f"{runs} too little of how far results differ from one start of the server to the next: "
            f"{100 * rules.assumed_between:.3g} % is assumed. {MIN_HISTORY} runs measure it."
        )
    most = max(len(run.plans) for run in (*history, *candidates))
    if len(trials) < most:
        notes.append(f"Only the {len(trials)} trials that all runs have are used (one has {most}).")
    return notes


def _subject_verdict(bout: _Bout, metrics: Sequence[MetricVerdict]) -> SubjectVerdict:
    contest = bout.contest
    return SubjectVerdict(
        subject=contest.subject,
        verdict=_overall([one.verdict for one in metrics]),
        earlier=tuple(run.label for run in bout.history),
        candidates=tuple(run.label for run in contest.candidates),
        trials=len(bout.trials),
        metrics=tuple(metrics),
        changed=contest.software,
        notes=(*contest.notes, *bout.notes),
        objections=contest.objections,
    )


def _overall(verdicts: Sequence[GateVerdict]) -> GateVerdict:
    """One regression decides; passing takes all."""
    if GateVerdict.REGRESSED in verdicts:
        return GateVerdict.REGRESSED
    passed = bool(verdicts) and all(one is GateVerdict.NOT_REGRESSED for one in verdicts)
    return GateVerdict.NOT_REGRESSED if passed else GateVerdict.INCONCLUSIVE
