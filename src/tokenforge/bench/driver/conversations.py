"""Conversations: a later turn is due some thinking time after the turn before it ended, whatever became of that one.

First turns follow another schedule: a client of a closed loop stays with its conversation to the last turn. Pure, like
all schedules. In a closed loop later turns have no planned time either, as nothing has one there.
"""

import heapq
from array import array
from collections.abc import Sequence

from tokenforge.bench.driver.jobfile import ChildJob
from tokenforge.bench.driver.schedule import NEVER, ClosedSchedule, OpenSchedule, Schedule


class ConversationSchedule:
    """`first` gives the places of first turns among themselves; `after[p]` is the turn before position p, -1 for none.

    `is_planned` is True in an open loop. `duration_s` ends a closed loop and the conversations going on in it.
    """

    def __init__(
        self,
        first: Schedule,
        *,
        after: Sequence[int],
        think_ns: Sequence[int],
        is_planned: bool,
        duration_s: float | None = None,
    ) -> None:
        self._first = first
        self._openers = openers_of(after)
        self._place = {position: place for place, position in enumerate(self._openers)}
        self._next = {before: position for position, before in enumerate(after) if before >= 0}
        self._think_ns = think_ns
        self._is_planned = is_planned
        self._duration_s = duration_s
        self._until_ns = NEVER
        self._thinking: list[tuple[int, int]] = []
        self._due: dict[int, int] = {}
        self._talking = 0
        self._opener_of: dict[int, int] = {}
        self.due_ns = NEVER

    def begin(self, origin_ns: int) -> None:
        """The trial starts: first turns fall due."""
        self._first.begin(origin_ns)
        if self._duration_s is not None and not self._is_planned:
            self._until_ns = origin_ns + int(self._duration_s * 1e9)
        self._aim()

    def take(self, now_ns: int) -> int | None:
        """A turn whose thinking time is over, or a first turn, whichever is due earlier."""
        if now_ns < self.due_ns or now_ns >= self._until_ns:
            return None
        if self._thinking and self._thinking[0][0] <= self._first.due_ns:
            position = heapq.heappop(self._thinking)[1]
        else:
            place = self._first.take(now_ns)
            if place is None:
                self._aim()
                return None
            position = self._openers[place]
            self._opener_of[position] = position
            self._talking += 1
        self._aim()
        return position

    def release(self, position: int, end_ns: int) -> None:
        """A turn ended: the next one is due after its thinking time; after the last one the client is free."""
        opener = self._opener_of.pop(position, None)
        if opener is None:
            return
        following = self._next.get(position)
        if following is None:
            self._talking -= 1
            self._first.release(self._place[opener], end_ns)
        else:
            due_ns = end_ns + self._think_ns[following]
            self._opener_of[following] = opener
            self._due[following] = due_ns
            heapq.heappush(self._thinking, (due_ns, following))
        self._aim()

    def scheduled_ns(self, position: int) -> int | None:
        """The planned time of a first turn, or when a later one fell due; None in a closed loop."""
        place = self._place.get(position)
        if place is not None:
            return self._first.scheduled_ns(place)
        due_ns = self._due.pop(position, None)
        return due_ns if self._is_planned else None

    def stop(self) -> None:
        """Forget the rest, begun conversations too."""
        self._first.stop()
        self._thinking.clear()
        self._opener_of.clear()
        self._talking = 0
        self.due_ns = NEVER

    def is_over(self, now_ns: int) -> bool:
        """No conversation is left to begin or to go on with; the end of a closed loop's time ends them all."""
        if now_ns >= self._until_ns:
            self.stop()
        return self._first.is_over(now_ns) and self._talking == 0

    def _aim(self) -> None:
        thinking_ns = self._thinking[0][0] if self._thinking else NEVER
        self.due_ns = min(self._first.due_ns, thinking_ns)


def openers_of(after: Sequence[int]) -> list[int]:
    """The positions of first turns, in order."""
    return [position for position, before in enumerate(after) if before < 0]


def schedule_of(job: ChildJob) -> Schedule:
    """The schedule of a process's share: open or closed, with later turns where there are any."""
    openers = openers_of(job.after) if job.has_turns else range(job.count)
    first: Schedule
    if job.concurrency is None:
        first = OpenSchedule(array("q", [job.at_ns[position] for position in openers]) if job.has_turns else job.at_ns)
    else:
        first = ClosedSchedule(count=len(openers), clients=job.concurrency, duration_s=job.duration_s)
    if not job.has_turns:
        return first
    return ConversationSchedule(
        first,
        after=job.after,
        think_ns=job.think_ns,
        is_planned=job.concurrency is None,
        duration_s=job.duration_s,
    )
