"""The chunks of one generation as measurements: counted as they pass, summed up when the engine has ended it."""

import time
from dataclasses import dataclass

from tokenforge.domain.generation import Chunk
from tokenforge.telemetry.worker_metrics import WorkerMetrics
from tokenforge.worker.stopwatch import Stopwatch


@dataclass(slots=True, kw_only=True)
class Measure:
    """One generation: `tokens` made so far, the first at `first_ns`, the last at `last_ns` (the engine's stamps)."""

    metrics: WorkerMetrics
    watch: Stopwatch
    tokens: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def take(self, chunk: Chunk) -> None:
        """A chunk came from the engine."""
        metrics, made = self.metrics, chunk.usage.completion_tokens - self.tokens
        if chunk.token_ids or chunk.text:
            if self.first_ns == 0:
                self.first_ns = chunk.made_ns
                metrics.time_to_first_token.observe((time.monotonic_ns() - self.watch.started_ns) / 1e9)
            else:
                gap_ns = max(0, chunk.made_ns - self.last_ns)
                metrics.inter_token_latency.observe(gap_ns / 1e9 / max(1, made))
            self.last_ns = chunk.made_ns
        if made > 0:
            metrics.generation_tokens.inc(by=made)
            self.tokens = chunk.usage.completion_tokens
        if chunk.finish is not None:
            self._end(chunk)

    def _end(self, chunk: Chunk) -> None:
        assert chunk.finish is not None
        self.metrics.generation_ended(chunk.finish.value, chunk.usage)
        if self.tokens > 1:
            self.metrics.time_per_output_token.observe((self.last_ns - self.first_ns) / 1e9 / (self.tokens - 1))
