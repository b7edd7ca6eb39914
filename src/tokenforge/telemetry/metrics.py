"""Every metric of a worker, defined once: name, help, labels, buckets.

The registry comes in as an argument, so two workers in one test do not meet. A value that is not known is absent from
the page, never zero. Counting is meant to be done per event of a request, not per token, except for the one latency
that exists only between tokens.
"""

import math
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tokenforge.domain.generation import RuntimeInfo, RuntimeStats
from tokenforge.protocol.worker_spec import WorkerPhase


def decade_buckets(low: float, high: float, *, per_decade: int = 10) -> tuple[float, ...]:
    """Geometric bounds from `low` to `high` seconds, both included, `per_decade` in each factor of ten."""
    steps = round(per_decade * math.log10(high / low))
    return tuple(float(f"{low * 10 ** (step / per_decade):.4g}") for step in range(steps + 1))


DURATION_BUCKETS = (*decade_buckets(0.001, 100.0), 200.0, 500.0, 1000.0)
"""1 ms to 100 s at ten a decade, and three more for what should not happen."""

TOKEN_BUCKETS = decade_buckets(0.0005, 10.0)
"""Between tokens: 0.5 ms to 10 s."""


class WorkerMetrics:
    """The worker's metrics in one registry. Labels are few and bounded: never a request id, never a user."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = Counter(
            "tokenforge_requests", "Requests answered.", ["operation", "outcome"], registry=registry
        )
        self.finished = Counter(
            "tokenforge_requests_finished", "Generations ended, by reason.", ["finish_reason"], registry=registry
        )
        self.rejected = Counter(
            "tokenforge_admission_rejected", "Requests turned away at the door.", ["reason"], registry=registry
        )
        self.time_to_first_token = Histogram(
            "tokenforge_request_time_to_first_token_seconds",
            "From the request's last byte to the first token.",
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self.inter_token_latency = Histogram(
            "tokenforge_request_inter_token_latency_seconds",
            "Between two chunks of tokens as the engine made them, shared evenly among the later chunk's tokens.",
            buckets=TOKEN_BUCKETS,
            registry=registry,
        )
        self.duration = Histogram(
            "tokenforge_request_duration_seconds",
            "From the request's last byte to the answer's last byte.",
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self.prompt_tokens = Counter("tokenforge_prompt_tokens", "Prompt tokens of requests.", registry=registry)
        self.generation_tokens = Counter("tokenforge_generation_tokens", "Tokens generated.", registry=registry)
        self.worker_state = Gauge("tokenforge_worker_state", "1 for the state it is in.", ["state"], registry=registry)

    def set_state(self, phase: WorkerPhase) -> None:
        """Mark the one phase the worker is in."""
        for known in WorkerPhase:
            self.worker_state.labels(state=known.value).set(float(known is phase))

    def say_build(self, version: str) -> None:
        """Tell which TokenForge this is."""
        info = Gauge("tokenforge_build_info", "The build that answers.", ["version"], registry=self.registry)
        info.labels(version=version).set(1.0)

    def say_runtime(self, info: RuntimeInfo) -> None:
        """Tell which engine stands behind this worker; `simulated` keeps the simulator apart from engines."""
        labels = {
            "runtime": info.runtime,
            "engine": info.engine,
            "engine_version": info.engine_version,
            "model": info.model,
            "simulated": str(info.simulated).lower(),
        }
        gauge = Gauge("tokenforge_runtime_info", "The engine behind the worker.", list(labels), registry=self.registry)
        gauge.labels(**labels).set(1.0)

    def follow(self, stats: Callable[[], RuntimeStats | None]) -> None:
        """Read the engine's own numbers whenever the page is asked for; `stats` gives None while there are none."""
        self.registry.register(_EngineCollector(stats))


class _EngineCollector(Collector):
    """Turns one snapshot into metrics at scrape time."""

    def __init__(self, stats: Callable[[], RuntimeStats | None]) -> None:
        self._stats = stats

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: what is unknown is absent."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The known values of now."""
        stats = self._stats()
        if stats is None:
            return
        yield GaugeMetricFamily("tokenforge_requests_running", "Sequences the engine computes now.", stats.running)
        yield GaugeMetricFamily("tokenforge_requests_waiting", "Requests that wait for a place.", stats.waiting)
        if stats.kv_usage_ratio is not None:
            yield GaugeMetricFamily("tokenforge_kv_cache_usage_ratio", "KV cache in use.", stats.kv_usage_ratio)
        counters = (
            ("tokenforge_prefix_cache_queries_tokens", "Prompt tokens looked up.", stats.prefix_queries),
            ("tokenforge_prefix_cache_hits_tokens", "Prompt tokens found.", stats.prefix_hits),
            ("tokenforge_preemptions", "Sequences pushed out of the cache.", stats.preemptions_total),
        )
        for name, text, value in counters:
            if value is not None:
                yield CounterMetricFamily(name, text, value)
