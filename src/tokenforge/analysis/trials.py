"""One trial, measured: its requests, latencies, rates and climb. The step between raw stamps and a run's summary."""

from dataclasses import dataclass

from tokenforge.analysis.document import RunFacts, TrialFacts, WorkloadFacts
from tokenforge.analysis.latency import Latencies, latencies
from tokenforge.analysis.requests import Bools, Requests, TrialRequests, trials_of
from tokenforge.analysis.saturation import Climb, climb
from tokenforge.analysis.throughput import Rates, Window, steady_window, trial_rates

MOST_KEPT = 1_000_000
"""So many requests of a record are kept measured (some 200 bytes each); runs beyond are measured again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """`attempted` marks requests due after the warm-up, without planned hang-ups; `counted` those that ended well."""

    facts: TrialFacts | None
    requests: TrialRequests
    window: Window
    attempted: Bools
    counted: Bools
    latencies: Latencies
    rates: Rates
    climb: Climb | None


class MeasuredTrials:
    """The trials of a record's runs in `requests`, measured when first asked for; what fits is kept for the next.

    Summary and page both need them, and to measure a million requests takes a second and a half.
    """

    def __init__(self, requests: Requests, *, most_kept: int = MOST_KEPT) -> None:
        self._requests = requests
        self._kept: dict[str, tuple[Trial, ...]] = {}
        self._room = most_kept

    def of(self, run: RunFacts) -> tuple[Trial, ...]:
        """Those of `run`, in order."""
        if run.id in self._kept:
            return self._kept[run.id]
        trials = measure_trials(run, self._requests)
        size = sum(len(trial.requests) for trial in trials)
        if size <= self._room:
            self._room -= size
            self._kept[run.id] = trials
        return trials


def measure_trials(run: RunFacts, requests: Requests) -> tuple[Trial, ...]:
    """Every trial of a run that has requests, in order."""
    facts = {trial.trial: trial for trial in run.trials}
    return tuple(_measure(one, facts.get(one.trial), run.workload) for one in trials_of(requests, run.id))


def _measure(requests: TrialRequests, facts: TrialFacts | None, workload: WorkloadFacts) -> Trial:
    window = steady_window(requests, workload)
    attempted = (requests.arrival_ns >= window.start_ns) & ~requests.hung_up
    counted = attempted & requests.ok
    spans = latencies(requests, counted)
    rates = trial_rates(requests, spans, window=window, workload=workload, counted=attempted)
    return Trial(
        facts=facts,
        requests=requests,
        window=window,
        attempted=attempted,
        counted=counted,
        latencies=spans,
        rates=rates,
        climb=climb(requests, spans.ttft, window) if workload.is_open else None,
    )
