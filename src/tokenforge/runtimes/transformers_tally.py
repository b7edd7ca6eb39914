"""What Transformers' scheduler computes, counted where it decides: steps, their tokens, and how full its cache is.

It keeps no such numbers itself. Its scheduler is wrapped in place, so the count costs a call per step and nothing per
token. A version that returns something else is not counted, and the numbers are then absent.
"""

from collections.abc import Callable
from typing import Any

_TOKENS_AT = 2
"""Where `schedule_batch` says how many tokens the step computes (5.17 to 5.19)."""


class Tally:
    """Counts from the moment it is made. Written by the engine's thread, read by any."""

    def __init__(self, processor: Any) -> None:
        self._cache = processor.cache
        self._schedule: Callable[..., Any] = processor.scheduler.schedule_batch
        self.steps: int | None = 0
        self.tokens: int | None = 0
        processor.scheduler.schedule_batch = self._scheduled

    def _scheduled(self, *args: Any, **kwargs: Any) -> Any:
        batch = self._schedule(*args, **kwargs)
        if not isinstance(batch, tuple) or len(batch) <= _TOKENS_AT or not isinstance(batch[_TOKENS_AT], int):
            self.steps = self.tokens = None
        elif batch[0] and self.steps is not None and self.tokens is not None:
            self.steps += 1
            self.tokens += batch[_TOKENS_AT]
        return batch

    def usage_ratio(self) -> float | None:
        """The share of the cache that is taken."""
        cache = self._cache
        if hasattr(cache, "compute_free_capacity"):
            return 1.0 - float(cache.compute_free_capacity(relative=True))
        if hasattr(cache, "get_num_free_blocks"):
            return 1.0 - float(cache.get_num_free_blocks()) / int(cache.num_blocks)
        return None
