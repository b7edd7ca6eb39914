"""What vLLM tells of itself at each step, kept and summed. It imports vLLM: for `vllm_engine` alone."""

from typing import Any

from vllm.v1.metrics.loggers import StatLoggerBase

from tokenforge.domain.generation import RuntimeStats


class Meter(StatLoggerBase):  # type: ignore[misc]  # vLLM has no types here
    """Keeps vLLM's last readings and sums its counters."""

    def __init__(self, vllm_config: Any, engine_index: int = 0) -> None:
        self._running = 0
        self._waiting = 0
        self._kv_usage_ratio: float | None = None
        self._prefix_queries = 0
        self._prefix_hits = 0
        self._preemptions = 0
        self._steps = 0
        self._step_tokens = 0

    def record(self, scheduler_stats: Any, iteration_stats: Any, *args: Any, **kwargs: Any) -> None:
        """Called by vLLM after each step, on the event loop."""
        if scheduler_stats is not None:
            self._running = scheduler_stats.num_running_reqs
            self._waiting = scheduler_stats.num_waiting_reqs + getattr(scheduler_stats, "num_skipped_waiting_reqs", 0)
            self._kv_usage_ratio = scheduler_stats.kv_cache_usage
            self._prefix_queries += scheduler_stats.prefix_cache_stats.queries
            self._prefix_hits += scheduler_stats.prefix_cache_stats.hits
        if iteration_stats is not None:
            self._preemptions += iteration_stats.num_preempted_reqs
            self._steps += 1
            self._step_tokens += iteration_stats.num_prompt_tokens + iteration_stats.num_generation_tokens

    def log_engine_initialized(self) -> None:
        """Nothing to log: `info` tells."""

    def read(self, *, open_requests: int) -> RuntimeStats:
        """A snapshot. An engine without requests makes no step and so no reading: then it is idle."""
        running = min(self._running, open_requests)
        return RuntimeStats(
            running=running,
            waiting=open_requests - running,
            kv_usage_ratio=self._kv_usage_ratio if open_requests else 0.0,
            prefix_queries=self._prefix_queries,
            prefix_hits=self._prefix_hits,
            preemptions_total=self._preemptions,
            steps_total=self._steps,
            step_tokens_total=self._step_tokens,
        )
