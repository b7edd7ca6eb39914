"""Workers that live and do not answer: asked once a second beside the loop, which only reads how long they are silent.

A process that hangs keeps its state file, its socket and its place in every table: nothing but a question finds it out.
Silence is never more than what failed questions prove, so a control that was itself frozen does not blame its workers.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tokenforge.cluster.base import Sighting
from tokenforge.protocol.worker_spec import WorkerPhase

EVERY_S = 1.0
LIMIT_S = 2.0
"""How long a worker may take to answer one question."""

Ask = Callable[[str], Awaitable[bool]]
"""Whether the worker at that URL answers within `LIMIT_S`."""


@dataclass(slots=True)
class _Answers:
    """What came of asking one worker: its unanswered questions in a row, since when, and when it is asked next."""

    unanswered: int = 0
    since_s: float = 0.0
    next_s: float = 0.0
    task: asyncio.Task[None] | None = None


@dataclass(slots=True, kw_only=True)
class Probes:
    """`ask` asks one worker; `clock` is monotonic seconds."""

    ask: Ask
    clock: Callable[[], float]
    _known: dict[str, _Answers] = field(default_factory=dict)

    def look(self, sightings: Sequence[Sighting]) -> Mapping[str, float]:
        """Ask those that are due; the seconds of silence of those that did not answer last time."""
        serving = {worker.name: worker.url for worker in sightings if _is_serving(worker)}
        for gone in self._known.keys() - serving.keys():
            task = self._known.pop(gone).task
            if task is not None:
                task.cancel()
        now = self.clock()
        for name, url in serving.items():
            known = self._known.setdefault(name, _Answers())
            if known.task is None and now >= known.next_s:
                known.task = asyncio.create_task(self._probe(known, url))
        return {name: _silence_s(known, now) for name, known in self._known.items() if known.unanswered}

    async def _probe(self, known: _Answers, url: str) -> None:
        try:
            is_answered = await self.ask(url)
            now = self.clock()
            if is_answered:
                known.unanswered = 0
            else:
                known.since_s = known.since_s if known.unanswered else now - LIMIT_S
                known.unanswered += 1
            known.next_s = now + EVERY_S
        finally:
            known.task = None


def _silence_s(known: _Answers, now: float) -> float:
    return min(now - known.since_s, known.unanswered * (LIMIT_S + EVERY_S))


def _is_serving(worker: Sighting) -> bool:
    return (
        worker.is_alive and worker.phase is WorkerPhase.READY and worker.stopping_since_s is None and bool(worker.url)
    )
