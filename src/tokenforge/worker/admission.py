"""Admission: how many requests may be inside at once. One more is turned away at once, not queued without end."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from tokenforge.domain.errors import Overloaded


class Admission:
    """Counts requests from the door to the last byte. `capacity` is what the engine runs, plus what may wait."""

    def __init__(self, *, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self.capacity = max(1, max_waiting)
        self.inside = 0
        self.empty = asyncio.Event()
        self.empty.set()

    def open(self, max_num_seqs: int | None) -> None:
        """Set the capacity once the engine has said how many sequences it runs (None: it does not say)."""
        self.capacity = max(1, self._max_waiting + (max_num_seqs or 0))

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one place. Raises Overloaded, without waiting, when there is none."""
        if self.inside >= self.capacity:
            raise Overloaded(f"{self.inside} requests are running or waiting and no more than {self.capacity} may")
        self.inside += 1
        self.empty.clear()
        try:
            yield
        finally:
            self.inside -= 1
            if self.inside == 0:
                self.empty.set()
