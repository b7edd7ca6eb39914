"""What a benchmark tells whoever watches it (a terminal, a log, nobody), as it goes."""

from dataclasses import dataclass
from typing import Protocol

from tokenforge.bench.driver.job import Progress
from tokenforge.domain.workload import Slo


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStart:
    """A trial about to be offered: its names, its place among all trials, and how long its arrivals last if known.

    `asked_rate` is the plan's requests/s, None in a closed loop; `slo` what the workload calls a good request.
    """

    runtime: str
    workload: str
    trial: int
    trials: int
    position: int
    positions: int
    requests: int
    expected_s: float | None
    asked_rate: float | None = None
    slo: Slo | None = None


class Observer(Protocol):
    """Told in this order: phases while preparing, then per trial start, progress, end."""

    def phase(self, subject: str, text: str) -> None:
        """`subject` (a runtime, a model, or the benchmark) is now doing `text`."""
        ...

    def trial_started(self, start: TrialStart) -> None:
        """A trial's load begins."""
        ...

    def progress(self, progress: Progress) -> None:
        """A few times a second during a trial."""
        ...

    def trial_finished(self, start: TrialStart, *, requests: int, errors: int) -> None:
        """A trial's last request ended."""
        ...


class Silence:
    """The observer that watches nothing."""

    def phase(self, subject: str, text: str) -> None:
        """Ignore."""

    def trial_started(self, start: TrialStart) -> None:
        """Ignore."""

    def progress(self, progress: Progress) -> None:
        """Ignore."""

    def trial_finished(self, start: TrialStart, *, requests: int, errors: int) -> None:
        """Ignore."""
