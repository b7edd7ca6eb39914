"""The worker's metrics page."""

from prometheus_client import CollectorRegistry, generate_latest

from tokenforge.domain.generation import Capabilities, RuntimeInfo, RuntimeStats, Usage
from tokenforge.domain.timing import ServerTiming
from tokenforge.protocol.worker_spec import WorkerPhase
from tokenforge.telemetry.page import new_registry
from tokenforge.telemetry.worker_metrics import WorkerMetrics

INFO = RuntimeInfo(
    runtime="sim", engine="sim", engine_version="1", model="m", max_model_len=1, capabilities=Capabilities(),
    simulated=True, kv_tokens=64,
)  # fmt: skip
LOADED = {"import": 0.5, "tokenizer": 0.25, "engine": 30.0}


def value_of(metrics: WorkerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"tokenforge_{name}", labels)


def page_of(stats: RuntimeStats | None) -> str:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.follow(lambda: stats)
    return generate_latest(metrics.registry).decode()


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
    metrics = WorkerMetrics(new_registry("9"))
    metrics.say_runtime(INFO, load_s=LOADED, tells_cached=False)
    page = generate_latest(metrics.registry).decode()
    assert 'simulated="true"' in page
    assert 'tokenforge_build_info{version="9"} 1.0' in page


def test_how_long_it_took_to_come_up_and_the_size_of_its_cache_are_told() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.say_runtime(INFO, load_s=LOADED, tells_cached=False)
    assert value_of(metrics, "model_load_seconds", phase="engine") == 30.0
    assert value_of(metrics, "kv_cache_capacity_tokens") == 64


def test_counters_carry_the_names_of_the_set() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.requests.inc("completions", "ok")
    metrics.rejected.inc("overloaded")
    assert value_of(metrics, "requests_total", operation="completions", outcome="ok") == 1
    assert value_of(metrics, "admission_rejected_total", reason="overloaded") == 1


def test_prompt_tokens_are_apart_by_where_they_came_from_when_the_engine_says_it() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.say_runtime(INFO, load_s={}, tells_cached=True)
    metrics.generation_ended("stop", Usage(prompt_tokens=10, completion_tokens=3, cached_tokens=4))
    assert value_of(metrics, "prompt_tokens_total", source="computed") == 6
    assert value_of(metrics, "prompt_tokens_total", source="cached") == 4


def test_prompt_tokens_of_an_engine_that_does_not_say_it_are_not_called_computed() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.generation_ended("stop", Usage(prompt_tokens=10, completion_tokens=3))
    assert value_of(metrics, "prompt_tokens_total", source="untold") == 10
    assert value_of(metrics, "prompt_tokens_total", source="computed") is None


def test_phases_of_a_request_add_up() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    timing = ServerTiming(first_token_ns=10_000_000, queue_ns=2_000_000, prefill_ns=5_000_000)
    metrics.spent(timing, decode_ns=40_000_000)
    phases = [value_of(metrics, "request_phase_seconds_sum", phase=p) for p in ("worker", "queue", "prefill", "decode")]
    assert phases == [0.003, 0.002, 0.005, 0.04]


def test_phases_that_were_not_told_are_not_counted() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.spent(ServerTiming(first_token_ns=10), decode_ns=0)
    assert value_of(metrics, "request_phase_seconds_sum", phase="queue") is None


def test_steps_and_their_tokens_are_a_summary() -> None:
    page = page_of(RuntimeStats(running=0, waiting=0, steps_total=4, step_tokens_total=100))
    assert "tokenforge_batch_tokens_count 4.0" in page
    assert "tokenforge_batch_tokens_sum 100.0" in page


def test_how_full_the_worker_is_is_read_when_the_page_is() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.follow_admission(lambda: 3, lambda: 8)
    assert value_of(metrics, "admission_requests") == 3
    assert value_of(metrics, "admission_capacity_requests") == 8
