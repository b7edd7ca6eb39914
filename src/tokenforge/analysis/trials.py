"""One trial, measured: its requests, latencies, rates and climb. The step between raw stamps and a run's summary."""

from dataclasses import dataclass

from tokenforge.analysis.document import RunFacts, TrialFacts, WorkloadFacts
from tokenforge.analysis.latency import Latencies, latencies
from tokenforge.analysis.requests import Bools, Requests, TrialRequests, trials_of
from tokenforge.analysis.saturation import Climb, climb
from tokenforge.analysis.throughput import Rates, Window, steady_window, trial_rates


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
