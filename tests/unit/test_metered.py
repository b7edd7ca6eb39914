"""The load generator's page says what the records say, by the same definitions."""

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from record_samples import Engine, Load, one_request, one_run, trial_records

from tokenforge.analysis.document import read_facts
from tokenforge.analysis.throughput import good_requests
from tokenforge.analysis.trials import measure_trials
from tokenforge.bench.driver.job import Progress
from tokenforge.bench.metered import MeteredObserver, read_ended
from tokenforge.bench.observe import Silence, TrialStart
from tokenforge.bench.record_bytes import encode_record
from tokenforge.domain.record import Outcome, RequestRecord
from tokenforge.domain.workload import Slo
from tokenforge.telemetry.benchmark_metrics import BenchmarkMetrics

START = TrialStart(
    runtime="vllm", workload="chat", trial=2, trials=3, position=2, positions=3, requests=10, expected_s=1.0,
    asked_rate=5.0, slo=Slo(ttft_ms=100.0),
)  # fmt: skip
NAMES = {"runtime": "vllm", "workload": "chat"}


def some_records(load: Load, *, error_share: float = 0.1) -> tuple[RequestRecord, ...]:
    engine = Engine(runtime="vllm", error_share=error_share)
    return trial_records(engine, load, trial=0, plan_seed=1, chance=np.random.default_rng(3))


def seen(*records: RequestRecord, sent: int = 0, in_flight: int = 0) -> Progress:
    return Progress(
        elapsed_s=1.0, sent=sent, finished=0, errors=0, in_flight=in_flight, output_tokens=0, ttft_recent_p50_ms=None,
        lag_p99_ms=None, ended=tuple(encode_record(record) for record in records),
    )  # fmt: skip


def observer() -> tuple[MeteredObserver, CollectorRegistry]:
    registry = CollectorRegistry()
    return MeteredObserver(Silence(), BenchmarkMetrics(registry)), registry


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"tokenforge_benchmark_{name}", {**NAMES, **labels})


@pytest.mark.parametrize("qps", [5.0, None])
def test_times_are_those_of_the_analysis(qps: float | None) -> None:
    load = Load(qps=qps)
    records = some_records(load)
    ended = read_ended([encode_record(record) for record in records], slo=None)
    document, table = one_run(records, load)
    latencies = measure_trials(read_facts(document).runs[0], table)[0].latencies
    is_open = qps is not None
    for ours, theirs in (
        (ended.ttft_s, latencies.ttft if is_open else latencies.ttft_service),
        (ended.duration_s, latencies.e2e if is_open else latencies.e2e_service),
        (ended.tpot_s, latencies.tpot),
    ):
        np.testing.assert_allclose(ours * 1e3, theirs, rtol=1e-12)


def test_good_requests_are_those_of_the_analysis() -> None:
    limits = {"ttft_ms": 150.0, "tpot_ms": 8.0}
    load = Load(slo=limits)
    records = some_records(load)
    ended = read_ended([encode_record(record) for record in records], slo=Slo(**limits))
    document, table = one_run(records, load)
    run = read_facts(document).runs[0]
    trial = measure_trials(run, table)[0]
    good = int(good_requests(trial.requests, trial.latencies, run.workload).sum())
    assert 0 < good < len(records)
    assert (ended.good, ended.bad) == (good, len(records) - good)


def test_a_request_that_was_to_be_hung_up_is_neither_good_nor_bad() -> None:
    left = encode_record(one_request(outcome=Outcome.HUNG_UP))
    ended = read_ended([left], slo=Slo(ttft_ms=1e9))
    assert (ended.good, ended.bad) == (0, 0)


def test_tokens_and_outcomes_add_up_to_those_of_the_records() -> None:
    watch, registry = observer()
    records = some_records(Load())
    watch.trial_started(START)
    watch.progress(seen(*records[:50]))
    watch.progress(seen(*records[50:]))
    assert value(registry, "output_tokens_total") == sum(r.output_tokens or 0 for r in records)
    assert value(registry, "prompt_tokens_total") == sum(r.prompt_tokens or 0 for r in records)
    for outcome in (Outcome.OK, Outcome.HTTP_ERROR):
        count = sum(record.outcome is outcome for record in records)
        assert value(registry, "requests_total", outcome=outcome.value) == count


def test_what_is_sent_and_in_flight_follows_the_heartbeats() -> None:
    watch, registry = observer()
    watch.trial_started(START)
    watch.progress(seen(sent=5, in_flight=5))
    watch.progress(seen(sent=9, in_flight=2))
    assert (value(registry, "sent_total"), value(registry, "requests_in_flight")) == (9, 2)
    assert (value(registry, "offered_rate"), value(registry, "trial")) == (5.0, 2)


def test_between_trials_what_is_of_the_moment_is_absent_and_counters_stay() -> None:
    watch, registry = observer()
    watch.trial_started(START)
    watch.progress(seen(one_request(), sent=1))
    watch.trial_finished(START, requests=1, errors=0)
    assert value(registry, "requests_in_flight") is None
    assert value(registry, "trial") is None
    assert value(registry, "sent_total") == 1


def test_warming_up_is_not_counted() -> None:
    watch, registry = observer()
    watch.progress(seen(one_request(), sent=8))
    assert value(registry, "sent_total") is None
    watch.trial_started(START)
    watch.progress(seen(sent=1))
    assert value(registry, "sent_total") == 1
