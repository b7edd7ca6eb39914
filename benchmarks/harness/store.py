"""What was measured so far, one JSON line per trial, so that a run that was stopped goes on where it was."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.clients.base import Load
from harness.compare import Errors
from harness.trial import Figures, Trial


@dataclass(slots=True)
class Store:
    """The trials of one folder. A trial is known by its client and its load (with its seed)."""

    path: Path
    trials: list[Trial] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> "Store":
        """With what is there already; a line that was cut is left out."""
        lines = path.read_text().splitlines() if path.exists() else []
        return cls(path, [trial for line in lines if (trial := _trial(line)) is not None])

    def find(self, client: str, load: Load) -> Trial | None:
        """The trial of this very load, if it succeeded before."""
        for trial in self.trials:
            if trial.client == client and trial.load == load and trial.figures is not None:
                return trial
        return None

    def add(self, trial: Trial) -> None:
        """Remember and write it."""
        self.trials.append(trial)
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(trial)) + "\n")


def _trial(line: str) -> Trial | None:
    try:
        facts = json.loads(line)
    except ValueError:
        return None
    found = facts["figures"]
    return Trial(
        client=facts["client"],
        load=Load(**facts["load"]),
        command=tuple(facts["command"]),
        figures=None if found is None else Figures(**{**found, "errors": Errors(**found["errors"])}),
        failure=facts["failure"],
    )
