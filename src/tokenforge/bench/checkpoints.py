"""Whole trials of a benchmark, so that one that was killed is taken up again without measuring them anew.

Beside the journals of each trial that was measured to its end lies what is known of it. A trial without that was broken
off: its journals count for nothing, and it is measured again whole. A trial is the same one when its run and the digest
of its plan are; so it does not matter in which order, or as which part of a benchmark, it comes up again.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tokenforge.bench.driver.offer import journal_paths
from tokenforge.bench.trial_records import TrialRecords, read_trial
from tokenforge.domain.benchmark_record import TrialRecord
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.errors import InvalidInput, StoreFailed
from tokenforge.domain.plan import TrialPlan
from tokenforge.protocol.withdrawn import RunName
from tokenforge.protocol.worker_spec import read_record
from tokenforge.store.artifacts import write_text

_FILE = "trial.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A trial that was measured to its end: of which run, its record, and where its journals are."""

    run: RunName
    record: TrialRecord
    folder: Path


@dataclass(slots=True, kw_only=True)
class Checkpoints:
    """`whole` are those of earlier attempts. `because` tells why there is another one; empty for the first."""

    whole: Sequence[Whole] = ()
    because: str = ""
    _is_told: bool = field(default=False, init=False)

    def take(self, run: RunName, plan: TrialPlan) -> tuple[TrialRecord, TrialRecords] | None:
        """What an earlier attempt measured of this very trial; None when it must be measured."""
        for one in self.whole:
            same = (one.record.trial, one.record.plan_digest) == (plan.trial, plan.digest)
            if same and one.run == run:
                try:
                    return one.record, read_trial(journal_paths(one.folder, plan.trial), trial=plan.trial)
                except StoreFailed:
                    return None  # what can't be read whole is measured again
        return None

    def notes(self) -> tuple[str, ...]:
        """What the first trial of this attempt says of those before; nothing for the others."""
        if not self.because or self._is_told:
            return ()
        self._is_told = True
        kept = f"{len(self.whole)} whole trial{'s' * (len(self.whole) != 1)} before it were kept"
        return (f"the benchmark was taken up again with this trial: {self.because}; {kept}",)


def keep_trial(folder: Path, run: RunName, record: TrialRecord) -> None:
    """Say that the journals in `folder` are of a whole trial. Raises StoreFailed."""
    for journal in folder.iterdir():
        with journal.open("rb") as file:
            os.fsync(file.fileno())
    write_text(folder / _FILE, json.dumps({"run": to_plain(run), "record": to_plain(record)}))


def find_whole(folder: Path) -> tuple[Whole, ...]:
    """All whole trials below `folder`; what can't be read is as good as broken off."""
    found = []
    for path in sorted(folder.glob(f"**/{_FILE}")):
        try:
            said = json.loads(path.read_bytes())
            run = read_record(RunName, said["run"], source=str(path))
            record = read_record(TrialRecord, said["record"], source=str(path))
        except (OSError, ValueError, KeyError, TypeError, InvalidInput):
            continue
        found.append(Whole(run=run, record=record, folder=path.parent))
    return tuple(found)
