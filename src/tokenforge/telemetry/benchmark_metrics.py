"""What the load generator tells while a trial runs: its records in batches, as they are written."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry

from tokenforge.telemetry.batches import Batches
from tokenforge.telemetry.catalogue import benchmark
from tokenforge.telemetry.instruments import CounterOf, GaugeOf

Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRequests:
    """Requests that ended, as columns; what is not known of one is NaN. `outcomes` counts them by how they ended.

    `good` and `bad` are those that kept the SLO and those that did not; None where the workload has none.
    """

    outcomes: Mapping[str, int]
    ttft_s: Seconds
    tpot_s: Seconds
    duration_s: Seconds
    lag_s: Seconds
    prompt_tokens: int
    output_tokens: int
    good: int | None
    bad: int | None


class BenchmarkMetrics:
    """The load generator's metrics in one registry; `runtime` and `workload` name what is measured now."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._sent = CounterOf(benchmark.SENT, registry)
        self._requests = CounterOf(benchmark.REQUESTS, registry)
        self._in_flight = GaugeOf(benchmark.IN_FLIGHT, registry)
        self._rate = GaugeOf(benchmark.OFFERED_RATE, registry)
        self._trial = GaugeOf(benchmark.TRIAL, registry)
        self._prompt_tokens = CounterOf(benchmark.PROMPT_TOKENS, registry)
        self._output_tokens = CounterOf(benchmark.OUTPUT_TOKENS, registry)
        self._slo = CounterOf(benchmark.SLO, registry)
        self._ttft = Batches(benchmark.TIME_TO_FIRST_TOKEN, registry)
        self._tpot = Batches(benchmark.TIME_PER_OUTPUT_TOKEN, registry)
        self._duration = Batches(benchmark.DURATION, registry)
        self._lag = Batches(benchmark.LAG, registry)

    def begin(self, runtime: str, workload: str, *, trial: int, rate: float | None) -> None:
        """A trial begins."""
        self._trial.set(trial, runtime, workload)
        self._in_flight.set(0, runtime, workload)
        if rate is not None:
            self._rate.set(rate, runtime, workload)

    def sent(self, runtime: str, workload: str, *, more: int, in_flight: int) -> None:
        """So many more were sent, so many are in flight."""
        self._sent.inc(runtime, workload, by=more)
        self._in_flight.set(in_flight, runtime, workload)

    def take(self, runtime: str, workload: str, ended: EndedRequests) -> None:
        """Requests ended."""
        names = (runtime, workload)
        for outcome, count in ended.outcomes.items():
            self._requests.inc(*names, outcome, by=count)
        self._prompt_tokens.inc(*names, by=ended.prompt_tokens)
        self._output_tokens.inc(*names, by=ended.output_tokens)
        for met, requests in (("true", ended.good), ("false", ended.bad)):
            if requests is not None:
                self._slo.inc(*names, met, by=requests)
        self._ttft.observe(ended.ttft_s, *names)
        self._tpot.observe(ended.tpot_s, *names)
        self._duration.observe(ended.duration_s, *names)
        self._lag.observe(ended.lag_s, *names)

    def end(self, runtime: str, workload: str) -> None:
        """The trial is over: what was of the moment is not known any more."""
        for gauge in (self._trial, self._in_flight, self._rate):
            gauge.forget(runtime, workload)
