"""Which earlier runs a candidate may be held against. What differs is named; nothing is compared in silence.

Runs that the user named must fit, or it is an error. Runs that were found in a folder are left out where they don't
fit, and counted. An INVALID run is never a yardstick.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tokenforge.analysis.gate_reading import GateRun, Subject
from tokenforge.analysis.likeness import Difference, Sort, differences
from tokenforge.domain.errors import Fault, InvalidInput

_MOST_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """One subject: its candidate runs, the earlier runs in the order of time, and what was left out or differs."""

    subject: Subject
    history: tuple[GateRun, ...]
    candidates: tuple[GateRun, ...]
    software: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The contests, and what is on one side only."""

    contests: tuple[Contest, ...]
    notes: tuple[str, ...]


def select(
    candidates: Sequence[GateRun], earlier: Sequence[GateRun], *, are_named: bool, any_hardware: bool
) -> Selection:
    """A contest per subject that both sides have.

    `are_named`: the user named the earlier runs one by one. Raises InvalidInput when one of those can't be compared, or
    when nothing can.
    """
    new, old = (list(dict.fromkeys(run.subject for run in runs)) for runs in (candidates, earlier))
    shared = [subject for subject in new if subject in old]
    if not shared:
        message = f"was not measured by the earlier runs, which have {_listed(old) or 'no run'}"
        raise _error("candidate", _listed(new), message, hint="a gate needs the same model, runtime and workload")
    notes = [f"{subject}: no earlier run has it, so it is not gated." for subject in new if subject not in old]
    if are_named:
        notes += [f"{subject}: measured before, not in the candidate." for subject in old if subject not in new]
    contests = tuple(
        _contest(
            subject,
            sorted((run for run in earlier if run.subject == subject), key=lambda run: run.created_at),
            tuple(run for run in candidates if run.subject == subject),
            are_named=are_named,
            any_hardware=any_hardware,
        )
        for subject in shared
    )
    return Selection(contests=contests, notes=tuple(notes))


def _contest(
    subject: Subject, earlier: Sequence[GateRun], mine: tuple[GateRun, ...], *, are_named: bool, any_hardware: bool
) -> Contest:
    last = mine[-1]
    for other in mine[:-1]:
        if wrong := _unlike(other, last, any_hardware=any_hardware):
            raise _error("--candidate", other.label, f"is not like {last.label} on {subject}: {_listed(wrong)}")
    fitting, misfits, notes = [], [], []
    for run in earlier:
        if wrong := _unlike(run, last, any_hardware=any_hardware):
            misfits.append((run, wrong))
        else:
            fitting.append(run)
    if misfits and (are_named or not fitting):
        raise _misfit_error(subject, misfits, last)
    if misfits:
        many = "1 earlier run is" if len(misfits) == 1 else f"{len(misfits)} earlier runs are"
        notes.append(f"{many} not like the candidate: {_listed(misfits[-1][1])}.")
    usable = tuple(run for run in fitting if run.objection is None)
    notes += [f"Left out: {run.objection}" for run in fitting if run.objection is not None]
    contest = Contest(subject=subject, history=usable, candidates=mine, notes=(*notes, *_care(last)))
    return _with_differences(contest, any_hardware=any_hardware)


def _care(run: GateRun) -> Iterator[str]:
    """What to know of a candidate whose numbers can be used."""
    if run.simulated:
        yield f"{run.subject.runtime} is simulated: its times are computed from a model of an engine, no engine ran."
    if suspicions := [code for code in run.suspicions if code != "simulated"]:
        yield f"{run.label} is SUSPECT: {', '.join(suspicions)} (its report explains)."


def _with_differences(contest: Contest, *, any_hardware: bool) -> Contest:
    objections = [run.objection for run in contest.candidates if run.objection is not None]
    if not contest.history:
        return replace(contest, objections=(*objections, "No earlier run can be used."))
    found = differences(contest.history[-1].recorded, contest.candidates[-1].recorded)
    hardware = [one for one in found if one.sort is Sort.HARDWARE]
    warning = [f"The hardware differs, as was allowed: {_listed(hardware)}."] if hardware and any_hardware else []
    return replace(
        contest,
        software=tuple(one for one in found if one.sort is Sort.SOFTWARE),
        notes=(*contest.notes, *warning),
        objections=tuple(objections),
    )


def _unlike(run: GateRun, candidate: GateRun, *, any_hardware: bool) -> list[Difference]:
    fatal = {Sort.MEASURED} if any_hardware else {Sort.MEASURED, Sort.HARDWARE}
    return [one for one in differences(run.recorded, candidate.recorded) if one.sort in fatal]


def _misfit_error(subject: Subject, misfits: Sequence[tuple[GateRun, list[Difference]]], last: GateRun) -> InvalidInput:
    run, wrong = misfits[-1]
    only_hardware = all(one.sort is Sort.HARDWARE for one in wrong)
    hint = (
        "--allow-different-hardware compares all the same" if only_hardware else "measure both with one benchmark.yaml"
    )
    return _error(
        "BASELINE", run.label, f"can't be compared with {last.label} on {subject}: {_listed(wrong)}", hint=hint
    )


def _error(field: str, value: object, message: str, *, hint: str = "") -> InvalidInput:
    return InvalidInput([Fault(field=field, value=value, message=message, hint=hint)], source="the gate")


def _listed(things: Sequence[object]) -> str:
    rest = len(things) - _MOST_NAMED
    return ", ".join(map(str, things[:_MOST_NAMED])) + (f" and {rest} more" if rest > 0 else "")
