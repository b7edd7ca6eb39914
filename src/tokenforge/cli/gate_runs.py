"""Which runs the user meant: named one by one, or found in a folder of many."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenforge.analysis.gate_reading import GateRun, read_gate_runs
from tokenforge.domain.errors import Fault, InvalidInput, StoreFailed
from tokenforge.store.record_file import find_records, read_record_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Runs of the candidates and of the earlier records, and what was passed over."""

    candidates: tuple[GateRun, ...]
    earlier: tuple[GateRun, ...]
    notes: tuple[str, ...] = ()


def choose_runs(given: Sequence[Path], candidates: Sequence[Path], history: Path | None) -> Chosen:
    """Read what was named. Raises InvalidInput, NotFound or StoreFailed."""
    _check(given, candidates, history)
    if history is not None:
        return _from_history(history, candidates)
    new, old = (candidates, given) if candidates else (given[-1:], given[:-1])
    chosen = Chosen(
        candidates=tuple(run for path in new for run in _read(path)),
        earlier=tuple(run for path in old for run in _read(path)),
    )
    twice = {run.record_id for run in chosen.candidates} & {run.record_id for run in chosen.earlier}
    if twice:
        message = "is both an earlier run and the candidate"
        raise InvalidInput([Fault(field="CANDIDATE", value=", ".join(twice), message=message)], source="the command")
    return chosen


def _check(given: Sequence[Path], candidates: Sequence[Path], history: Path | None) -> None:
    if history is not None and given:
        fault = Fault(field="--history", value=str(history), message="replaces the baselines; don't name both")
    elif history is None and len(given) + len(candidates) < 2:
        hint = "tokenforge gate BASELINE... CANDIDATE, or --history FOLDER"
        fault = Fault(field="BASELINE... CANDIDATE", value=len(given), message="needs two runs or more", hint=hint)
    elif history is None and not given:
        fault = Fault(field="BASELINE", value=None, message="is missing: with --candidate the others are baselines")
    else:
        return
    raise InvalidInput([fault], source="the command")


def _from_history(folder: Path, candidates: Sequence[Path]) -> Chosen:
    """The named candidates, or the newest run of the folder, against all that were recorded before."""
    records: list[tuple[GateRun, ...]] = []
    notes: list[str] = []
    for path in find_records(folder):
        try:
            records.append(_read(path))
        except StoreFailed as error:
            notes.append(f"Left out: {error}")
    records.sort(key=_age)
    new = [_read(path) for path in candidates] or records[-1:]
    ids = {runs[0].record_id for runs in new}
    others = [runs for runs in records if runs[0].record_id not in ids]
    first = min((_age(runs) for runs in new), default=("", ""))
    later = sum(_age(runs) > first for runs in others)
    if later:
        many = "1 run in {} is" if later == 1 else f"{later} runs in {{}} are"
        notes.append(f"{many.format(folder)} newer than the candidate and not used.")
    earlier = [run for runs in others if _age(runs) < first for run in runs]
    return Chosen(candidates=tuple(run for runs in new for run in runs), earlier=tuple(earlier), notes=tuple(notes))


def _age(runs: Sequence[GateRun]) -> tuple[str, str]:
    return runs[0].created_at, runs[0].record_id


def _read(path: Path) -> tuple[GateRun, ...]:
    runs = read_gate_runs(read_record_file(path), label=str(path))
    if not runs:
        raise StoreFailed(f"{path} has no summary of its runs", hint="`tokenforge report FOLDER` makes it again")
    return runs
