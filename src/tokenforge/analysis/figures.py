"""What analysis hands over: frozen figures that go into the record as JSON. Absent is None with a note, never zero."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from tokenforge.analysis.compare import Verdict
from tokenforge.analysis.gpu_figures import EnergyUse
from tokenforge.analysis.instrument import InstrumentReading
from tokenforge.analysis.intervals import Estimate
from tokenforge.analysis.latency import TrialMetric
from tokenforge.analysis.ledger import Ledger
from tokenforge.analysis.run_limits import RunLimits
from tokenforge.analysis.steadiness import State, Steadiness
from tokenforge.analysis.throughput import Rates
from tokenforge.analysis.validity_codes import CODES
from tokenforge.analysis.validity_codes import Level as Level


class Validity(enum.StrEnum):
    """Whether a number may be believed. SUSPECT: read the reasons first. INVALID: do not use it."""

    VALID = "VALID"
    SUSPECT = "SUSPECT"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a run is not simply valid. `code` is stable for programs; `numbers` are what was found and the limit."""

    code: str
    level: Level
    sentence: str
    fix: str
    numbers: Mapping[str, float | int | str | None]


def reason(
    code: str, level: Level, sentence: str, fix: str | None = None, **numbers: float | int | str | None
) -> Reason:
    """A Reason with its numbers as keywords; its fix is that of the code unless one is given."""
    return Reason(code=code, level=level, sentence=sentence, fix=fix or CODES[code].fix, numbers=numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSummary:
    """One latency metric of one run, in ms. `effective` is how many independent values the `count` are worth."""

    metric: str
    unit: str
    count: int
    effective: float
    mean: Estimate
    p50: Estimate
    p90: Estimate
    p95: Estimate
    p99: Estimate
    per_trial: tuple[TrialMetric, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run in numbers. `loop` is `open` or `closed`; `requests` are those after the warm-up.

    `cost_per_million_output` is in the currency of `price_per_hour`. `outcomes` counts every request, warm-up too.
    """

    run_id: str
    model: str
    runtime: str
    workload: str
    status: str
    simulated: bool
    loop: str
    requests: int
    ok: int
    errors: int
    warmup_requests: int
    outcomes: Mapping[str, int]
    asked_rate: float | None
    sent_rate: float | None
    completed_rate: Estimate
    output_tokens_per_s: Estimate
    total_tokens_per_s: Estimate
    goodput: Estimate
    attainment: Estimate
    attainment_asked: float | None
    mean_in_flight: Estimate
    prompt_tokens_mean: float | None
    output_tokens_mean: float | None
    saturated: bool
    cost_per_million_output: Estimate | None
    latencies: Mapping[str, MetricSummary]
    trials: tuple[Rates, ...]
    verdict: Validity
    reasons: tuple[Reason, ...]
    instrument: InstrumentReading
    limits: RunLimits
    steadiness: Steadiness
    ledger: Ledger | None
    energy: EnergyUse | None = None

    @property
    def unsettled(self) -> frozenset[str]:
        """Metrics that depend on how long the run lasted: none of them is for a headline."""
        if self.steadiness.state is not State.NOT_STEADY:
            return frozenset()
        ttft = self.steadiness.ttft
        waits = frozenset() if ttft is None or ttft.is_steady else frozenset({"ttft_mean", "e2e_mean"})
        return waits | {"output_tokens_per_s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of a runtime against the baseline on one model and workload. `ratio` is runtime / baseline.

    `verdict` speaks of `runtime`. `sentence` names the winner first. `same_plan` is False where paired trials did not
    have equal plans (other prompts or lengths).
    """

    model: str
    workload: str
    baseline: str
    runtime: str
    metric: str
    label: str
    unit: str
    higher_is_better: bool
    baseline_value: float | None
    runtime_value: float | None
    ratio: float | None
    low: float | None
    high: float | None
    trials: int
    trials_needed: int | None
    verdict: Verdict
    same_plan: bool
    sentence: str
