"""May a run's numbers be believed? Each doubt has a code, a sentence with its numbers, and what to do about it.

Three parties can spoil a run: the client that offers the load, the server that answers, and the run as a whole. Every
check looks at one of them and knows nothing of the others. A check never guesses: what was not recorded is not judged.
"""

from collections.abc import Iterable, Iterator, Sequence

from tokenforge.analysis.document import Facts, RunFacts
from tokenforge.analysis.figures import Level, Reason, Validity, reason
from tokenforge.analysis.instrument import InstrumentReading
from tokenforge.analysis.intervals import MIN_TRIALS
from tokenforge.analysis.trials import Trial
from tokenforge.analysis.validity_client import doubt_client
from tokenforge.analysis.validity_instrument import doubt_instrument
from tokenforge.analysis.validity_server import doubt_server, doubt_tokens
from tokenforge.domain.record import Outcome
from tokenforge.domain.run import RunStatus

_MIN_REQUESTS = 100
_STEAL = 0.05
_LOAD_BEFORE = 0.5


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
        found += [*_size(trials), *_load(trials)]
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
            "Use a real runtime for numbers about real hardware.",
        )
    if run.status == RunStatus.FAILED:
        yield reason(
            "run_failed",
            Level.INVALID,
            f"The run failed: {run.cause or 'no cause was recorded'}.",
            "See the engine's last words in the report, mend the cause, run again.",
        )
    elif run.status != RunStatus.SUCCEEDED:
        yield reason(
            "run_incomplete",
            Level.SUSPECT if trials else Level.INVALID,
            f"The run ended as {run.status} after {len(trials)} trials: {run.cause or 'no cause was recorded'}.",
            "Let the run finish; a part of the trials may be the lucky part.",
            trials=len(trials),
        )
    elif not trials:
        yield reason("no_requests", Level.INVALID, "No request was recorded.", "Check the plan and the target.")


def _size(trials: Sequence[Trial]) -> Iterator[Reason]:
    attempted = sum(int(trial.attempted.sum()) for trial in trials)
    if len(trials) < MIN_TRIALS:
        yield reason(
            "too_few_trials",
            Level.SUSPECT,
            f"{len(trials)} of the {MIN_TRIALS} trials that an interval needs: how far numbers vary is not known.",
            "Set `trials: 5`.",
            trials=len(trials),
            limit=MIN_TRIALS,
        )
    if attempted < _MIN_REQUESTS:
        yield reason(
            "too_few_requests",
            Level.SUSPECT,
            f"{attempted} requests count; below {_MIN_REQUESTS} even medians move by chance.",
            f"Raise `duration_s` or `qps` so that at least {_MIN_REQUESTS} requests follow the warm-up.",
            requests=attempted,
            limit=_MIN_REQUESTS,
        )


def _load(trials: Sequence[Trial]) -> Iterator[Reason]:
    over = [trial for trial in trials if trial.climb is not None and trial.climb.is_over]
    if over and len(over) * 2 >= len(trials):
        yield reason(
            "over_saturated",
            Level.SUSPECT,
            f"In {len(over)} of {len(trials)} trials requests in flight and TTFT grew from start to end: the rate is "
            "above what this runtime can serve, and latency depends on how long the run lasted.",
            "Lower `qps`, or use `arrival: concurrency` to measure the most it can do.",
            trials=len(over),
        )
    undrained = sum(trial.requests.outcomes.get(Outcome.CANCELLED, 0) for trial in trials)
    stopped = next((t.facts.stopped_early for t in trials if t.facts and t.facts.stopped_early), None)
    if undrained or stopped:
        yield reason(
            "not_drained",
            Level.SUSPECT,
            f"{undrained} requests had no answer when the trial ended" + (f" ({stopped})." if stopped else "."),
            "Raise `drain_s`, or lower the rate.",
            requests=undrained,
        )


def _machine(facts: Facts) -> Iterator[Reason]:
    threads, load = facts.cpu_threads, facts.load_before
    if threads and load is not None and load > _LOAD_BEFORE * threads:
        yield reason(
            "machine_busy",
            Level.SUSPECT,
            f"The machine was busy before the first trial: load {load:.1f} on {threads} CPU threads.",
            "End other work on the machine and run again.",
            load_1m=load,
            cpu_threads=threads,
        )
    if facts.steal_share is not None and facts.steal_share > _STEAL:
        yield reason(
            "cpu_stolen",
            Level.SUSPECT,
            f"The host took {facts.steal_share:.1%} of this machine's CPU time for others.",
            "Use a machine with CPUs of its own.",
            steal_share=facts.steal_share,
            limit=_STEAL,
        )
