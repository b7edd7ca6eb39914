"""Runs that were cancelled while their benchmark goes on: whoever started the benchmark writes them to a file.

A trial in progress of such a run ends within moments and what it recorded is kept; its further trials are left out. The
other runs go on in their order. Without a file nothing is withdrawn.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path

from tokenforge.protocol.withdrawn import RunName, runs_from_json

POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The runs in a file, None for no file."""

    path: Path | None = None

    def holds(self, run: RunName) -> bool:
        """Whether that run is withdrawn by now."""
        if self.path is None:
            return False
        try:
            withdrawn = runs_from_json(self.path.read_bytes())
        except (OSError, ValueError):
            return False
        return any(run.is_written_as(one) for one in withdrawn)

    async def unless(self, run: RunName, work: Coroutine[object, object, None]) -> bool:
        """Do the work; False when the run was withdrawn meanwhile, and then the work was cancelled and has ended."""
        task = asyncio.create_task(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=POLL_S)
                if not task.done() and self.holds(run):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
                    return False
            task.result()
        finally:
            task.cancel()
            await asyncio.wait({task})
        return True


NOTHING_WITHDRAWN = Withdrawn()
