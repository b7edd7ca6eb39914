"""When what happened to one request in this worker, on the monotonic clock of this machine.

Engines in a child process stamp with the same clock (Linux has one for all processes). What an engine does not tell
stays unknown; a stamp that cannot be true (before the request came, after its token) counts as not told.
"""

import time
from dataclasses import dataclass, field

from tokenforge.domain.generation import Chunk
from tokenforge.domain.timing import ServerTiming


@dataclass(slots=True, kw_only=True)
class Stopwatch:
    """Starts with the request's last byte."""

    started_ns: int = field(default_factory=time.monotonic_ns)
    submitted_ns: int | None = None
    _scheduled_ns: int | None = None
    _made_ns: int | None = None
    _shown_ns: int | None = None

    def submit(self) -> None:
        """The engine is asked now."""
        self.submitted_ns = time.monotonic_ns()

    def note(self, chunk: Chunk) -> None:
        """A chunk is handed to the client now; the first one counts."""
        if self._shown_ns is None and (chunk.token_ids or chunk.text):
            self._shown_ns = time.monotonic_ns()
            self._made_ns = chunk.made_ns
            self._scheduled_ns = chunk.scheduled_ns

    def timing(self) -> ServerTiming | None:
        """The durations; None before the first token."""
        if self._shown_ns is None or self._made_ns is None:
            return None
        first_ns = self._shown_ns - self.started_ns
        asked, taken, made = self.submitted_ns, self._scheduled_ns, self._made_ns
        if asked is None or taken is None or not asked <= taken <= made <= self._shown_ns:
            return ServerTiming(first_token_ns=first_ns)
        return ServerTiming(first_token_ns=first_ns, queue_ns=taken - asked, prefill_ns=made - taken)
