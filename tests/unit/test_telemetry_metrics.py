"""The worker's metrics page."""

import itertools

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tokenforge.domain.generation import Capabilities, RuntimeInfo, RuntimeStats
from tokenforge.protocol.worker_spec import WorkerPhase
from tokenforge.telemetry.metrics import DURATION_BUCKETS, TOKEN_BUCKETS, WorkerMetrics, decade_buckets


def page_of(stats: RuntimeStats | None) -> str:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.follow(lambda: stats)
    return generate_latest(metrics.registry).decode()


def test_buckets_are_ten_a_decade_from_end_to_end() -> None:
    buckets = decade_buckets(0.001, 1.0)
    assert len(buckets) == 31
    assert (buckets[0], buckets[10], buckets[-1]) == (0.001, 0.01, 1.0)


@pytest.mark.parametrize("buckets", [DURATION_BUCKETS, TOKEN_BUCKETS])
def test_no_bucket_is_wider_than_a_tenth_of_a_decade_below_100_s(buckets: tuple[float, ...]) -> None:
    steps = [high / low for low, high in itertools.pairwise(buckets) if high <= 100]
    assert max(steps) < 10**0.1 * 1.01


def test_the_ends_are_those_of_the_set() -> None:
    assert (DURATION_BUCKETS[0], DURATION_BUCKETS[-3:]) == (0.001, (200.0, 500.0, 1000.0))
    assert TOKEN_BUCKETS[0] == 0.0005
    assert 9.9 < TOKEN_BUCKETS[-1] <= 10.0


def test_what_is_unknown_is_absent() -> None:
    page = page_of(RuntimeStats(running=1, waiting=2))
    assert "tokenforge_requests_running 1.0" in page
    assert "tokenforge_requests_waiting 2.0" in page
    assert "kv_cache" not in page
    assert "prefix_cache" not in page


def test_what_is_known_is_there() -> None:
    page = page_of(RuntimeStats(running=0, waiting=0, kv_usage_ratio=0.5, prefix_queries=10, prefix_hits=4))
    assert "tokenforge_kv_cache_usage_ratio 0.5" in page
    assert "tokenforge_prefix_cache_queries_tokens_total 10.0" in page
    assert "tokenforge_prefix_cache_hits_tokens_total 4.0" in page


def test_no_engine_has_no_numbers() -> None:
    assert "requests_running" not in page_of(None)


def test_exactly_one_state_is_on() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.set_state(WorkerPhase.LOADING)
    metrics.set_state(WorkerPhase.READY)
    page = generate_latest(metrics.registry).decode()
    assert [
        line for line in page.splitlines() if line.startswith("tokenforge_worker_state") and line.endswith("1.0")
    ] == ['tokenforge_worker_state{state="ready"} 1.0']


def test_the_simulator_is_told_apart() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.say_build("9")
    metrics.say_runtime(
        RuntimeInfo(
            runtime="sim",
            engine="sim",
            engine_version="1",
            model="m",
            max_model_len=1,
            capabilities=Capabilities(),
            simulated=True,
        )
    )
    page = generate_latest(metrics.registry).decode()
    assert 'simulated="true"' in page
    assert 'tokenforge_build_info{version="9"} 1.0' in page


def test_counters_carry_the_names_of_the_set() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.requests.labels(operation="completions", outcome="ok").inc()
    metrics.finished.labels(finish_reason="stop").inc()
    metrics.rejected.labels(reason="overloaded").inc()
    page = generate_latest(metrics.registry).decode()
    assert 'tokenforge_requests_total{operation="completions",outcome="ok"} 1.0' in page
    assert 'tokenforge_requests_finished_total{finish_reason="stop"} 1.0' in page
    assert 'tokenforge_admission_rejected_total{reason="overloaded"} 1.0' in page
