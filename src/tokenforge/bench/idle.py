"""Is an engine without work really idle? Its processes' CPU time is read before and after each trial of another.

An engine that polls, or still works off old requests, takes cores from the one that is measured.
"""

import time
from collections.abc import Sequence

from tokenforge.cluster.base import MetersCpu


class IdleWatch:
    """Watches workers that should do nothing, from now on."""

    def __init__(self, workers: Sequence[object]) -> None:
        meters = [worker for worker in workers if isinstance(worker, MetersCpu)]
        self._meters = meters if len(meters) == len(workers) else []
        self._before = [meter.cpu_s() for meter in self._meters]
        self._began = time.monotonic()

    def cpu_share(self) -> float | None:
        """Cores that all of them used together since then; None where there is none, or one can't be read."""
        passed = time.monotonic() - self._began
        after = [meter.cpu_s() for meter in self._meters]
        pairs = list(zip(self._before, after, strict=True))
        used = [end - start for start, end in pairs if start is not None and end is not None]
        if not used or len(used) < len(pairs) or passed <= 0:
            return None
        return max(0.0, sum(used) / passed)
