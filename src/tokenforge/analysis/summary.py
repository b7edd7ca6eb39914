"""From a record and its requests to every figure a report shows. Pure: the same input gives the same bytes.

Per run: counts, rates, latencies, verdict. Then each runtime against the first one of its model and workload, and a few
sentences that say what came out and whether to believe it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tokenforge.analysis.benchmark_summary import BenchmarkSummary
from tokenforge.analysis.comparisons import Measured, compare_runs
from tokenforge.analysis.document import Facts, RunFacts, mapping, read_facts, text
from tokenforge.analysis.energy import doubt_energy, energy_use
from tokenforge.analysis.figures import MetricSummary, RunSummary, Validity
from tokenforge.analysis.head_to_head import ParityNote, judge_comparison
from tokenforge.analysis.headline import headline
from tokenforge.analysis.instrument import read_instrument
from tokenforge.analysis.intervals import Estimate, over_trials
from tokenforge.analysis.latency import METRICS, QUANTILES, trial_metric
from tokenforge.analysis.ledger import read_ledger
from tokenforge.analysis.limit_basis import LimitBasis, NoBasis, read_bases
from tokenforge.analysis.limit_load import trial_loads
from tokenforge.analysis.quantiles import estimate_mean, estimate_quantile, read_samples
from tokenforge.analysis.requests import Requests
from tokenforge.analysis.run_limits import run_limits
from tokenforge.analysis.saturation import is_over_saturated
from tokenforge.analysis.shares import estimate_share
from tokenforge.analysis.steadiness import State, read_steadiness
from tokenforge.analysis.throughput import Rates, good_requests
from tokenforge.analysis.trials import MeasuredTrials, Trial
from tokenforge.analysis.validity import judge, verdict_of
from tokenforge.analysis.validity_idle import doubt_idle
from tokenforge.analysis.validity_limits import doubt_limits
from tokenforge.analysis.validity_steady import doubt_steadiness
from tokenforge.domain.parity import ParityVerdict

_UNSETTLED = "not steady"


def summarise(
    document: Mapping[str, object], requests: Requests, *, trials: MeasuredTrials | None = None
) -> BenchmarkSummary:
    """All figures of a benchmark. `document` is the record as JSON, `requests` its rows, `trials` them measured.

    Raises InvalidInput when the document has no list of runs.
    """
    facts = read_facts(document)
    measured = _measured_runs(document, facts, trials or MeasuredTrials(requests, most_kept=0))
    runs = tuple(one.summary for one in measured)
    spec, parity = facts.comparison, _parity(document)
    if spec is not None and (verdict := judge_comparison(measured, spec, parity=parity)) is not None:
        said = (verdict.sentence, f"{verdict.validity}: {verdict.validity_sentence}")
        return BenchmarkSummary(
            headline=said, verdict=verdict.validity, runs=runs, comparisons=(), head_to_head=verdict
        )
    comparisons = compare_runs(measured)
    return BenchmarkSummary(
        headline=headline(runs, comparisons), verdict=_worst(runs), runs=runs, comparisons=comparisons
    )


def _parity(document: Mapping[str, object]) -> ParityNote | None:
    """What was found of the outputs, where it was looked at."""
    found = mapping(document, "parity")
    verdict, said = text(found, "verdict"), text(found, "sentence")
    if verdict not in set(ParityVerdict) or said is None:
        return None
    return ParityNote(verdict=ParityVerdict(verdict), sentence=said)


def _measured_runs(document: Mapping[str, object], facts: Facts, trials: MeasuredTrials) -> tuple[Measured, ...]:
    """Every run of the record, its facts beside its figures, in order."""
    return tuple(
        Measured(facts=run, summary=_run_summary(run, trials.of(run), facts, basis))
        for run, basis in zip(facts.runs, read_bases(document), strict=True)
    )


def _run_summary(run: RunFacts, trials: Sequence[Trial], facts: Facts, basis: LimitBasis | NoBasis) -> RunSummary:
    instrument = read_instrument(run, trials)
    loads = trial_loads(run, trials)
    saturated = is_over_saturated([trial.climb for trial in trials])
    steadiness = read_steadiness(trials, run.workload, is_saturated=saturated)
    energy = energy_use(trials)
    doubts = (
        *doubt_energy(energy),
        *doubt_limits(run, basis, trials, loads),
        *doubt_idle(trials),
        *doubt_steadiness(steadiness, trials=len(trials)),
    )
    reasons = judge(run, trials, facts, instrument=instrument, doubts=doubts)
    attempted = sum(int(trial.attempted.sum()) for trial in trials)
    ok = sum(int(trial.counted.sum()) for trial in trials)
    rates = tuple(trial.rates for trial in trials)
    latencies = {metric: _metric_summary(trials, metric) for metric in METRICS}
    is_steady = steadiness.state is not State.NOT_STEADY
    output_rate = _rate(rates, "output_tokens_per_s", is_steady=is_steady)
    return RunSummary(
        run_id=run.id,
        model=run.model,
        runtime=run.runtime,
        workload=run.workload.name,
        status=run.status,
        simulated=run.simulated,
        loop="open" if run.workload.is_open else "closed",
        requests=attempted,
        ok=ok,
        errors=attempted - ok,
        warmup_requests=sum(_warm_up_requests(trial) for trial in trials),
        outcomes=_outcomes(trials),
        asked_rate=_mean_rate(rates, "asked_rate") if run.workload.is_open else None,
        sent_rate=_mean_rate(rates, "sent_rate"),
        completed_rate=over_trials([rate.completed_rate for rate in rates]),
        output_tokens_per_s=output_rate,
        total_tokens_per_s=_rate(rates, "total_tokens_per_s", is_steady=is_steady),
        goodput=_rate(rates, "goodput", is_steady=is_steady),
        attainment=_attainment(run, trials, latencies["ttft" if run.workload.is_open else "ttft_service"]),
        attainment_asked=run.workload.slo_attainment if run.workload.has_slo else None,
        mean_in_flight=over_trials([rate.mean_in_flight for rate in rates]),
        prompt_tokens_mean=_mean_count(trials, "prompt_tokens"),
        output_tokens_mean=_mean_count(trials, "output_tokens"),
        saturated=saturated,
        cost_per_million_output=cost_per_million(output_rate, facts.price_per_hour),
        latencies=latencies,
        trials=rates,
        verdict=verdict_of(reasons),
        reasons=reasons,
        instrument=instrument,
        limits=run_limits(basis, loads),
        steadiness=steadiness,
        ledger=read_ledger(run, trials),
        energy=energy,
    )


def cost_per_million(output_tokens_per_s: Estimate, price_per_hour: float | None) -> Estimate | None:
    """Price of a million output tokens at full-time use; the interval turns over with the rate it comes from."""
    if price_per_hour is None:
        return None
    if not output_tokens_per_s.value:
        return Estimate(value=None, note=output_tokens_per_s.note or "no tokens were made")

    def price(rate: float | None) -> float | None:
        return price_per_hour / 3600 / rate * 1e6 if rate else None

    return Estimate(
        value=price(output_tokens_per_s.value),
        low=price(output_tokens_per_s.high),
        high=price(output_tokens_per_s.low),
        note=output_tokens_per_s.note,
    )


def _rate(rates: Sequence[Rates], name: str, *, is_steady: bool) -> Estimate:
    found = over_trials([getattr(rate, name) for rate in rates])
    if is_steady or found.value is None:
        return found
    return replace(found, note="; ".join(filter(None, (_UNSETTLED, found.note))))


def _metric_summary(trials: Sequence[Trial], metric: str) -> MetricSummary:
    values = [trial.latencies.samples(metric) for trial in trials]
    samples = read_samples(values)
    per_trial = tuple(
        trial_metric(ordered, trial=trial.requests.trial) for ordered, trial in zip(values, trials, strict=True)
    )
    quantiles = {name: estimate_quantile(samples, name=name, quantile=quantile) for name, quantile in QUANTILES}
    return MetricSummary(
        metric=metric,
        unit="ms",
        count=len(samples.ordered),
        effective=samples.effective,
        mean=estimate_mean(samples, [one.mean for one in per_trial], floor=None if metric == "lag" else 0.0),
        p50=quantiles["p50"],
        p90=quantiles["p90"],
        p95=quantiles["p95"],
        p99=quantiles["p99"],
        per_trial=per_trial,
    )


def _attainment(run: RunFacts, trials: Sequence[Trial], waits: MetricSummary) -> Estimate:
    if not run.workload.has_slo:
        return Estimate(value=None, note="no data")
    good = [good_requests(one.requests, one.latencies, run.workload)[one.attempted] for one in trials]
    return estimate_share(good, worth=waits.effective / waits.count if waits.count else 1.0)


def _warm_up_requests(trial: Trial) -> int:
    return int((~(trial.requests.arrival_ns >= trial.window.start_ns)).sum())


def _outcomes(trials: Sequence[Trial]) -> Mapping[str, int]:
    total: Counter[str] = Counter()
    for trial in trials:
        total.update(trial.requests.outcomes)
    return dict(sorted(total.items()))


def _mean_rate(rates: Sequence[Rates], name: str) -> float | None:
    known = [value for rate in rates if (value := getattr(rate, name)) is not None]
    return float(np.mean(known)) if known else None


def _mean_count(trials: Sequence[Trial], name: str) -> float | None:
    values = [getattr(trial.requests, name)[trial.counted] for trial in trials]
    joined = np.concatenate(values) if values else np.empty(0)
    known = joined[~np.isnan(joined)]
    return float(known.mean()) if len(known) else None


def _worst(runs: Sequence[RunSummary]) -> Validity:
    if not runs:
        return Validity.INVALID
    order = (Validity.VALID, Validity.SUSPECT, Validity.INVALID)
    return max((run.verdict for run in runs), key=order.index)
