"""May a run's numbers be believed? Each doubt has a code, a sentence with its numbers, and what to do about it.

Three parties can spoil a run: the client that offers the load, the server that answers, and the run as a whole. Every
check looks at one of them and knows nothing of the others. A check never guesses: what was not recorded is not judged.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tokenforge.analysis.document import Facts, RunFacts
from tokenforge.analysis.figures import Level, Reason, Validity, reason
from tokenforge.analysis.instrument import InstrumentReading
from tokenforge.analysis.intervals import MIN_TRIALS
from tokenforge.analysis.saturation import is_over_saturated
from tokenforge.analysis.trials import Trial
from tokenforge.analysis.validity_client import doubt_client, joined
from tokenforge.analysis.validity_drift import doubt_drift
from tokenforge.analysis.validity_instrument import doubt_instrument
from tokenforge.analysis.validity_server import doubt_server
from tokenforge.analysis.validity_tokens import doubt_tokens
from tokenforge.domain.errors import EngineDead, WorkerFailed
from tokenforge.domain.record import Outcome
from tokenforge.domain.run import RunStatus

_MIN_REQUESTS = 100
_STEAL = 0.05
_LOAD_BEFORE = 0.5
_THROTTLED = 0.01
_WINDOW_ANSWERS = 4.0
_DEATHS = frozenset({WorkerFailed.code, EngineDead.code})


def judge(
    run: RunFacts,
    trials: Sequence[Trial],
    facts: Facts,
    *,
    instrument: InstrumentReading,
    doubts: Iterable[Reason] = (),
) -> tuple[Reason, ...]:
    """All reasons against a run, the gravest first; `doubts` are those of a judge who knows more (its limit)."""
    found = [*_life(run, trials), *doubts]
    if trials:
        found += [*_size(trials), *(list(_load(trials)) or _length(trials)), *doubt_drift(trials)]
        found += [*doubt_client(run, trials), *doubt_server(run, trials), *doubt_tokens(run, trials)]
        found.extend(doubt_instrument(instrument, trials))
    found.extend(_machine(facts))
    order = {Level.INVALID: 0, Level.SUSPECT: 1, Level.NOTE: 2}
    return tuple(sorted(found, key=lambda one: order[one.level]))


def verdict_of(reasons: Sequence[Reason]) -> Validity:
    """The worst of the reasons."""
    levels = {one.level for one in reasons}
    if Level.INVALID in levels:
        return Validity.INVALID
    return Validity.SUSPECT if Level.SUSPECT in levels else Validity.VALID


def _life(run: RunFacts, trials: Sequence[Trial]) -> Iterator[Reason]:
    if run.simulated:
        yield reason(
            "simulated",
            Level.SUSPECT,
            f"{run.runtime} is simulated: its times are computed from a model of an engine, no engine ran.",
        )
    if run.status == RunStatus.FAILED:
        has_died = run.cause_code in _DEATHS
        what = "The engine's process ended during the run" if has_died else "The run failed"
        yield reason(
            "server_died" if has_died else "run_failed",
            Level.INVALID,
            f"{what}: {(run.cause or 'no cause was recorded').rstrip('.')}.",
        )
    elif run.status != RunStatus.SUCCEEDED:
        yield reason(
            "run_incomplete",
            Level.SUSPECT if trials else Level.INVALID,
            f"The run ended as {run.status} after {len(trials)} trials: {run.cause or 'no cause was recorded'}.",
            trials=len(trials),
        )
    elif not trials:
        yield reason("no_requests", Level.INVALID, "No request was recorded.")


def _size(trials: Sequence[Trial]) -> Iterator[Reason]:
    attempted = sum(int(trial.attempted.sum()) for trial in trials)
    if len(trials) < MIN_TRIALS:
        yield reason(
            "too_few_trials",
            Level.SUSPECT,
            f"{len(trials)} of the {MIN_TRIALS} trials that an interval needs: how far numbers vary is not known.",
            trials=len(trials),
            limit=MIN_TRIALS,
        )
    if attempted < _MIN_REQUESTS:
        yield reason(
            "too_few_requests",
            Level.SUSPECT,
            f"{attempted} requests count; below {_MIN_REQUESTS} even medians move by chance.",
            requests=attempted,
            limit=_MIN_REQUESTS,
        )


def _length(trials: Sequence[Trial]) -> Iterator[Reason]:
    """Is a trial long against its answers? Not asked of a run above capacity, whose answers last as long as it does."""
    answers_s = joined([trial.latencies.samples("e2e_service") for trial in trials]) / 1e3
    shortest_s = min(trial.window.length_s for trial in trials)
    longest_s = float(np.quantile(answers_s, 0.95)) if len(answers_s) else 0.0
    if shortest_s < _WINDOW_ANSWERS * longest_s:
        yield reason(
            "too_short",
            Level.SUSPECT,
            f"A trial's window is {shortest_s:.1f} s, an answer takes {longest_s:.1f} s (p95): less than "
            f"{_WINDOW_ANSWERS:g} times, so that filling and draining weigh as much as steady work.",
            window_s=shortest_s,
            e2e_p95_s=longest_s,
            limit=_WINDOW_ANSWERS,
        )


def _load(trials: Sequence[Trial]) -> Iterator[Reason]:
    if is_over_saturated([trial.climb for trial in trials]):
        over = [trial for trial in trials if trial.climb is not None and trial.climb.is_over]
        yield reason(
            "over_saturated",
            Level.SUSPECT,
            f"In {len(over)} of {len(trials)} trials requests in flight and TTFT grew from start to end: the rate is "
            "above what this runtime can serve, and latency depends on how long the run lasted.",
            trials=len(over),
        )
    undrained = sum(trial.requests.outcomes.get(Outcome.CANCELLED, 0) for trial in trials)
    stopped = next((t.facts.stopped_early for t in trials if t.facts and t.facts.stopped_early), None)
    if undrained or stopped:
        yield reason(
            "not_drained",
            Level.SUSPECT,
            f"{undrained} requests had no answer when the trial ended" + (f" ({stopped})." if stopped else "."),
            requests=undrained,
        )


def _machine(facts: Facts) -> Iterator[Reason]:
    threads, load = facts.cpu_threads, facts.load_before
    if threads and load is not None and load > _LOAD_BEFORE * threads:
        yield reason(
            "machine_busy",
            Level.SUSPECT,
            f"The machine was busy before the first trial: load {load:.1f} on {threads} CPU threads.",
            load_1m=load,
            cpu_threads=threads,
        )
    if facts.steal_share is not None and facts.steal_share > _STEAL:
        yield reason(
            "cpu_stolen",
            Level.SUSPECT,
            f"The host took {facts.steal_share:.1%} of this machine's CPU time for others.",
            steal_share=facts.steal_share,
            limit=_STEAL,
        )
    if facts.throttled_share is not None and facts.throttled_share > _THROTTLED:
        yield reason(
            "cpu_throttled",
            Level.SUSPECT,
            f"A CPU limit stopped the processes here for {facts.throttled_share:.1%} of the time.",
            throttled_share=facts.throttled_share,
            limit=_THROTTLED,
        )
