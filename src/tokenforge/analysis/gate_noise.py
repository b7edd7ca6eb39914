"""How far a run's result moves when nothing changed: between runs, and between trials of one run.

Trials of one run share a server and a start of it, so they agree with each other better than with the next run; the run
is the unit that counts. Trial j has the same plan in every run, so what a plan does to the numbers is taken out by rows
and columns. With fewer than three earlier runs nothing says how far runs differ; then an assumed spread stands in, and
the result says so. Values are logarithms throughout: a difference is a ratio.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from tokenforge.analysis.requests import Floats

MIN_HISTORY = 3
ASSUMED_BETWEEN = 0.03
_TINY = 1e-6
_MOST_FREEDOM = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Standard deviations of log values: `within` of a trial, `between` of runs beyond that, `run` of a run's mean.

    `freedom` are the degrees of freedom that `run` rests on; `assumed` is True where `between` was not measured.
    """

    within: float
    between: float
    run: float
    freedom: float
    assumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Candidate minus history in log units, with its standard error and degrees of freedom."""

    difference: float
    error: float
    freedom: float
    spread: Spread

    def chance_of_more(self, than: float) -> float:
        """The one-sided p of seeing this difference, or a larger one, where `than` is true."""
        return float(stdtr(self.freedom, (than - self.difference) / self.error))

    def bound(self, confidence: float) -> float:
        """The upper one-sided bound (below 0.5: the lower one)."""
        return self.difference + float(stdtrit(self.freedom, confidence)) * self.error


def contrast(history: Floats, candidate: Floats, *, assumed_between: float = ASSUMED_BETWEEN) -> Contrast | None:
    """Compare runs of shape (runs, trials), the same trials in both. None where nothing says how far results vary."""
    spread = read_spread(history, candidate, assumed_between=assumed_between)
    if spread is None:
        return None
    return Contrast(
        difference=float(candidate.mean() - history.mean()),
        error=max(_TINY, spread.run * math.sqrt(1 / len(history) + 1 / len(candidate))),
        freedom=spread.freedom,
        spread=spread,
    )


def read_spread(history: Floats, candidate: Floats, *, assumed_between: float) -> Spread | None:
    """The spread of runs that are alike but for the difference of the two groups."""
    trials = history.shape[1]
    within, within_freedom = _within(np.concatenate((history, candidate)))
    of_trials = within**2 / trials
    freedom = len(history) + len(candidate) - 2
    means = [group.mean(axis=1) for group in (history, candidate)]
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in means)
    of_runs = squares / freedom if freedom else 0.0
    if len(history) >= MIN_HISTORY:
        run = max(of_runs, of_trials)
        between = math.sqrt(max(0.0, of_runs - of_trials))
        return Spread(within=within, between=between, run=math.sqrt(run), freedom=freedom, assumed=False)
    if not within_freedom:
        return None
    run = max(of_runs, assumed_between**2 + of_trials)
    known = within_freedom * (run / max(of_trials, _TINY**2)) ** 2
    return Spread(
        within=within,
        between=math.sqrt(run - of_trials),
        run=math.sqrt(run),
        freedom=min(known, _MOST_FREEDOM),
        assumed=True,
    )


def _within(runs: Floats) -> tuple[float, int]:
    """Standard deviation of a trial once its run's and its plan's means are taken out, and its degrees of freedom."""
    freedom = (runs.shape[0] - 1) * (runs.shape[1] - 1)
    if freedom == 0:
        return 0.0, 0
    rest = runs - runs.mean(axis=1, keepdims=True) - runs.mean(axis=0, keepdims=True) + runs.mean()
    return math.sqrt(float((rest**2).sum()) / freedom), freedom
