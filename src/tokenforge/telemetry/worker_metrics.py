"""What a worker counts, and what it reads from its engine when the page is asked for.

Counting is meant to be done per event of a request, not per token, except for the one latency that exists only between
tokens. A value that is not known is absent from the page, never zero.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tokenforge.domain.generation import RuntimeInfo, RuntimeStats, Usage
from tokenforge.domain.timing import ServerTiming
from tokenforge.protocol.worker_spec import WorkerPhase
from tokenforge.telemetry.catalogue import engine, serving
from tokenforge.telemetry.instruments import CounterOf, GaugeOf, HistogramOf, family_of, summary_of


class WorkerMetrics:
    """The worker's metrics in one registry. Labels are few and bounded: never a request id, never a user."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.requests = CounterOf(serving.REQUESTS, registry)
        self.finished = CounterOf(serving.FINISHED, registry)
        self.rejected = CounterOf(serving.REJECTED, registry)
        self.time_to_first_token = HistogramOf(serving.TIME_TO_FIRST_TOKEN, registry)
        self.inter_token_latency = HistogramOf(serving.INTER_TOKEN_LATENCY, registry)
        self.time_per_output_token = HistogramOf(serving.TIME_PER_OUTPUT_TOKEN, registry)
        self.duration = HistogramOf(serving.DURATION, registry)
        self.generation_tokens = CounterOf(serving.GENERATION_TOKENS, registry)
        self._prompt_tokens = CounterOf(serving.PROMPT_TOKENS, registry)
        self._request_prompt = HistogramOf(serving.REQUEST_PROMPT_TOKENS, registry)
        self._request_generation = HistogramOf(serving.REQUEST_GENERATION_TOKENS, registry)
        self._phase = HistogramOf(serving.PHASE, registry)
        self._state = GaugeOf(engine.WORKER_STATE, registry)
        self._load = GaugeOf(engine.MODEL_LOAD, registry)
        self._tells_cached = False

    def set_state(self, phase: WorkerPhase) -> None:
        """Mark the one phase the worker is in."""
        for known in WorkerPhase:
            self._state.set(float(known is phase), known.value)

    def say_runtime(self, info: RuntimeInfo, *, load_s: Mapping[str, float], tells_cached: bool) -> None:
        """Tell which engine stands behind this worker and how long it took to come up.

        `tells_cached`: its usage says which prompt tokens were found in a cache.
        """
        self._tells_cached = tells_cached
        is_simulated = str(info.simulated).lower()
        told = GaugeOf(engine.RUNTIME_INFO, self.registry)
        told.set(1.0, info.runtime, info.engine, info.engine_version, info.model, is_simulated)
        for phase, seconds in load_s.items():
            self._load.set(seconds, phase)
        if info.kv_tokens is not None:
            GaugeOf(engine.KV_CAPACITY, self.registry).set(info.kv_tokens)

    def generation_ended(self, reason: str, usage: Usage) -> None:
        """The engine ended a generation."""
        self.finished.inc(reason)
        if self._tells_cached:
            self._prompt_tokens.inc("computed", by=usage.prompt_tokens - usage.cached_tokens)
            self._prompt_tokens.inc("cached", by=usage.cached_tokens)
        else:
            self._prompt_tokens.inc("untold", by=usage.prompt_tokens)
        self._request_prompt.observe(usage.prompt_tokens)
        self._request_generation.observe(usage.completion_tokens)

    def spent(self, timing: ServerTiming, *, decode_ns: int) -> None:
        """Where the time of a request went; nothing where the engine did not tell."""
        if timing.queue_ns is None or timing.prefill_ns is None:
            return
        self._phase.observe((timing.first_token_ns - timing.queue_ns - timing.prefill_ns) / 1e9, "worker")
        self._phase.observe(timing.queue_ns / 1e9, "queue")
        self._phase.observe(timing.prefill_ns / 1e9, "prefill")
        self._phase.observe(decode_ns / 1e9, "decode")

    def follow(self, stats: Callable[[], RuntimeStats | None]) -> None:
        """Read the engine's own numbers whenever the page is asked for; `stats` gives None while there are none."""
        self.registry.register(_EngineCollector(stats))

    def follow_admission(self, inside: Callable[[], int], capacity: Callable[[], int]) -> None:
        """Read how full the worker is whenever the page is asked for."""
        self.registry.register(_AdmissionCollector(inside, capacity))


class _EngineCollector(Collector):
    """Turns one snapshot into metrics at scrape time."""

    def __init__(self, stats: Callable[[], RuntimeStats | None]) -> None:
        self._stats = stats

    def describe(self) -> Iterable[Family]:
        """Nothing beforehand: what is unknown is absent."""
        return ()

    def collect(self) -> Iterator[Family]:
        """The known values of now."""
        stats = self._stats()
        if stats is None:
            return
        known = (
            (engine.RUNNING, stats.running),
            (engine.WAITING, stats.waiting),
            (engine.KV_USAGE, stats.kv_usage_ratio),
            (engine.PREFIX_QUERIES, stats.prefix_queries),
            (engine.PREFIX_HITS, stats.prefix_hits),
            (engine.PREEMPTIONS, stats.preemptions_total),
        )
        for metric, value in known:
            if value is not None:
                yield family_of(metric, {(): value})
        if stats.steps_total is not None and stats.step_tokens_total is not None:
            yield summary_of(engine.BATCH_TOKENS, count=stats.steps_total, total=stats.step_tokens_total)


class _AdmissionCollector(Collector):
    def __init__(self, inside: Callable[[], int], capacity: Callable[[], int]) -> None:
        self._inside, self._capacity = inside, capacity

    def describe(self) -> Iterable[Family]:
        """Nothing beforehand."""
        return ()

    def collect(self) -> Iterator[Family]:
        """How full, and how full it may get."""
        yield family_of(serving.INSIDE, {(): self._inside()})
        yield family_of(serving.CAPACITY, {(): self._capacity()})
