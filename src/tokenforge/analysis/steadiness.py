"""Was a run in one state after its warm-up? TTFT and output tokens/s, judged over all its trials; pure."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.dependence import worth_by_rank
from tokenforge.analysis.document import WorkloadFacts
from tokenforge.analysis.intervals import MIN_TRIALS
from tokenforge.analysis.requests import Floats
from tokenforge.analysis.steady import MIN_BATCHES, Settling, settling
from tokenforge.analysis.throughput import token_series
from tokenforge.analysis.trials import Trial

_BATCH = 5
_MOST_BATCHES = 40
_LEAST_WORTH = 50.0
"""What ten stretches of too few trials must be worth together, for their means to be independent enough."""


class State(enum.StrEnum):
    """Whether a run's numbers are of one state."""

    STEADY = "steady"
    NOT_STEADY = "not_steady"
    NOT_JUDGED = "not_judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steadiness:
    """`note` says why it is not judged. `warmup_s` is the mean start that did not count, by `warmup_by`: `workload`,
    `default` or `none`. A series is None where it was not judged.
    """

    state: State
    note: str | None
    warmup_s: float
    warmup_by: str
    ttft: Settling | None = None
    output_tokens_per_s: Settling | None = None


def read_steadiness(trials: Sequence[Trial], workload: WorkloadFacts, *, is_saturated: bool) -> Steadiness:
    """Judge a run. Where the load is above capacity TTFT must grow, so only tokens are judged."""
    warmup_s = float(np.mean([trial.window.start_ns for trial in trials])) / 1e9 if trials else 0.0
    by = "workload" if workload.warmup_s else "default" if warmup_s > 0 else "none"
    if note := _too_little(trials, workload):
        return Steadiness(state=State.NOT_JUDGED, note=note, warmup_s=warmup_s, warmup_by=by)
    waits = [_waits(trial, workload) for trial in trials]
    count = min(_MOST_BATCHES, min(len(values) for values in waits) // _BATCH)
    ttft = None if is_saturated else settling(np.array([_batches(values, count) for values in waits]))
    tokens = settling(np.array([token_series(trial.requests, trial.window, slices=count) for trial in trials]))
    found = [one for one in (ttft, tokens) if one is not None]
    return Steadiness(
        state=State.STEADY if all(one.is_steady for one in found) else State.NOT_STEADY,
        note=None,
        warmup_s=warmup_s,
        warmup_by=by,
        ttft=ttft,
        output_tokens_per_s=tokens,
    )


def _too_little(trials: Sequence[Trial], workload: WorkloadFacts) -> str | None:
    if not workload.is_level:
        return "the load changes by plan"
    waits = [_waits(trial, workload) for trial in trials]
    fewest = min((len(values) for values in waits), default=0)
    if fewest < _BATCH * MIN_BATCHES or any(trial.window.length_s <= 0 for trial in trials):
        return f"needs {_BATCH * MIN_BATCHES} requests a trial, has {fewest}"
    worth = sum(len(values) for values in waits) * worth_by_rank(waits)
    if len(trials) < MIN_TRIALS and worth < _LEAST_WORTH:
        return f"needs {MIN_TRIALS} trials, or longer ones: these are worth {worth:.0f} independent requests"
    return None


def _waits(trial: Trial, workload: WorkloadFacts) -> Floats:
    """TTFT in order of arrival."""
    values = trial.latencies.ttft if workload.is_open else trial.latencies.ttft_service
    known = np.flatnonzero(~np.isnan(values))
    return values[known[np.argsort(trial.requests.arrival_ns[known], kind="stable")]]


def _batches(values: Floats, count: int) -> Floats:
    """Means of `count` equal batches; a rest at the start is left out."""
    size = len(values) // count
    means: Floats = values[len(values) - count * size :].reshape(count, size).mean(axis=1)
    return means
