"""Which replica serves a request: an in-memory table and counters, no I/O, one event loop.

The table is replaced as a whole when control has news (`feed`); counters and ejections are kept by replica. A request
that shares its head or its session with others goes where those went, as long as that replica has no more than its part
(`affinity`); any other goes to the replica with the fewest requests in flight, ties to the one that waited longest. A
replica that failed is left out for a while, then tried with one request at a time until it answers. While all are full,
or an autoscaled deployment has none yet, requests are held: so many, so long.
"""

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tokenforge.domain.deployment import Routing
from tokenforge.domain.errors import DeadlineExceeded, NotFound, NotReady, Overloaded
from tokenforge.gateway.affinity import Homes
from tokenforge.gateway.route_table import Endpoint, RouteTable, Served, Want

__all__ = ["Endpoint", "RouteTable", "Router", "Served", "Want"]

EJECT_S = 2.0
MAX_EJECT_S = 30.0
HOLD_S = 300.0
"""How long a request waits for a place, or for the first replica of an autoscaled deployment."""

_LONGEST_RETRY_S = 30.0


@dataclass(slots=True)
class _Tally:
    """What this gateway knows of one replica."""

    in_flight: int = 0
    failures: int = 0
    out_until_s: float = 0.0
    used: int = 0

    def room(self, endpoint: Endpoint) -> int:
        """Half open: a replica that failed lately gets one request at a time until it answers."""
        return 1 if self.failures else endpoint.capacity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Waiter:
    """One who waits. `place` becomes a replica whose place it then holds, or None: look again."""

    place: asyncio.Future[Endpoint | None]
    want: Want
    without: Collection[str]

    def can_take(self, endpoint: Endpoint) -> bool:
        is_met = self.want.is_met_by(
            model=endpoint.model, runtime=endpoint.runtime, deployment=endpoint.deployment, name=endpoint.name
        )
        return endpoint.id not in self.without and is_met


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one deployment here and now. `turn` grows with each request that got a place."""

    in_flight: int
    waiting: int
    turn: int


def _nobody() -> None:
    """Nobody is told."""


@dataclass(slots=True, kw_only=True)
class Router:
    """Chooses replicas. `clock` is monotonic seconds; `max_waiting` bounds those who wait for a place, per model.

    None waits longer than `hold_s`. `tell_held` is called when one begins to wait for a replica that is not there.
    """

    clock: Callable[[], float]
    max_waiting: int = 512
    hold_s: float = HOLD_S
    homes: Homes = field(default_factory=Homes)
    tell_held: Callable[[], None] = _nobody
    table: RouteTable = field(default_factory=RouteTable)
    _known: frozenset[str] = frozenset()
    _tallies: dict[str, _Tally] = field(default_factory=dict)
    _waiting: dict[str, deque[_Waiter]] = field(default_factory=dict)
    _handed: dict[str, deque[float]] = field(default_factory=dict)
    _turn: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def replace(self, table: RouteTable) -> None:
        """Take a new table; counters of replicas that are gone are dropped once nothing is in flight there."""
        self.table = table
        self._known = frozenset(e.id for served in table.by_model.values() for one in served for e in one.endpoints)
        for gone in [id_ for id_, tally in self._tallies.items() if id_ not in self._known and tally.in_flight == 0]:
            del self._tallies[gone]
        for queue in self._waiting.values():
            for waiter in queue:
                if not waiter.place.done():
                    waiter.place.set_result(None)

    async def take(self, want: Want, *, without: Collection[str], until_s: float) -> Endpoint:
        """A replica with a free place; waits for one while all are full. `release` gives the place back.

        Raises NotFound, NotReady (with the cause), Overloaded (the queue is full, or moved too slowly),
        DeadlineExceeded.
        """
        hold_until_s = None
        while True:
            endpoint = self._choose(want, without)
            if endpoint is not None:
                self._occupy(endpoint)
                return endpoint
            hold_until_s = self.clock() + self.hold_s if hold_until_s is None else hold_until_s
            waiter = _Waiter(place=asyncio.get_running_loop().create_future(), want=want, without=without)
            handed = await self._wait(waiter, until_s=until_s, hold_until_s=hold_until_s)
            if handed is not None:
                return handed

    def take_now(self, want: Want) -> Endpoint | None:
        """The same without waiting; None when there is no place, for whatever reason."""
        served = self.table.known(want)
        if served is not None and len(served) == 1 and len(served[0].endpoints) == 1:
            endpoint = served[0].endpoints[0]
            tally = self._tallies.get(endpoint.id) or self._tally(endpoint.id)
            if tally.in_flight >= endpoint.capacity or tally.failures:
                return None
            tally.in_flight += 1
            tally.used = next(self._turn)
            return endpoint
        try:
            chosen = self._choose(want, ())
        except (NotFound, NotReady):
            return None
        if chosen is not None:
            self._occupy(chosen)
        return chosen

    def release(self, endpoint: Endpoint) -> None:
        """The request has left the replica: its place goes to the first who waits for it, or is free."""
        if not self._waiting:
            self._tallies[endpoint.id].in_flight -= 1
            return
        waiter = self._next(endpoint)
        tally = self._tally(endpoint.id)
        is_usable = endpoint.id in self._known and not tally.failures
        if waiter is not None and is_usable:
            tally.used = next(self._turn)
            self._handed.setdefault(endpoint.model, deque(maxlen=64)).append(self.clock())
            waiter.place.set_result(endpoint)
            return
        tally.in_flight -= 1
        if waiter is not None:
            waiter.place.set_result(None)

    def failed(self, endpoint: Endpoint) -> None:
        """It did not answer as a living replica does: leave it out for a while, longer each time."""
        tally = self._tally(endpoint.id)
        tally.failures += 1
        tally.out_until_s = self.clock() + min(MAX_EJECT_S, EJECT_S * 2 ** min(8, tally.failures - 1))

    def answered(self, endpoint: Endpoint) -> None:
        """It answered: it is well."""
        tally = self._tallies.get(endpoint.id)
        if tally is not None and tally.failures:
            tally.failures, tally.out_until_s = 0, 0.0

    def in_flight(self, endpoint_id: str) -> int:
        """Requests that this gateway has there now."""
        return self._tallies[endpoint_id].in_flight if endpoint_id in self._tallies else 0

    def asked(self) -> dict[str, Asked]:
        """What is asked of each deployment that scales by it."""
        waiting = Counter(self._waits_for(waiter) for queue in self._waiting.values() for waiter in queue)
        found = {}
        for one in self.table.all():
            if one.most is not None:
                tallies = [self._tally(e.id) for e in one.endpoints]
                found[one.id] = Asked(
                    in_flight=sum(tally.in_flight for tally in tallies),
                    waiting=waiting[one.id],
                    turn=max((tally.used for tally in tallies), default=0),
                )
        return found

    def _waits_for(self, waiter: _Waiter) -> str:
        """The deployment that should grow for it: the first that may serve it and may have more replicas."""
        fitting = [one for one in self.table.fitting(waiter.want) if one.most is not None]
        growing = [one.id for one in fitting if len(one.endpoints) < (one.most or 0)]
        return next(iter((*growing, *(one.id for one in fitting))), "")

    def _choose(self, want: Want, without: Collection[str]) -> Endpoint | None:
        """The best with a free place; None when the request is to wait for one. Raises NotFound, NotReady."""
        served = self.table.find(want)
        if len(served) == 1 and not without:
            ready: Sequence[Endpoint] = served[0].endpoints
        else:
            ready = [e for one in served for e in one.endpoints if e.id not in without]
        if not ready:
            if any(one.is_held for one in served) and not any(one.endpoints for one in served):
                self.tell_held()
                return None
            raise NotReady(f"model {served[0].model!r} is not ready: {_cause(served)}", retry_after_s=2.0)
        if len(ready) == 1:
            tally = self._tally(ready[0].id)
            return ready[0] if tally.in_flight < tally.room(ready[0]) else None
        now = self.clock()
        crowd = [(e, self._tally(e.id)) for e in ready]
        well = [(e, tally) for e, tally in crowd if not tally.failures or tally.out_until_s <= now] or crowd
        free = [(e, tally) for e, tally in well if tally.in_flight < tally.room(e)]
        if len(free) > 1 and want.hint is not None and any(one.routing is Routing.PREFIX for one in served):
            key = want.hint.key()
            near = None if key is None else self.homes.choose(key, free, among=well)
            if near is not None:
                return near
        best = min(free, key=_load, default=None)
        return None if best is None else best[0]

    def _occupy(self, endpoint: Endpoint) -> None:
        tally = self._tally(endpoint.id)
        tally.in_flight += 1
        tally.used = next(self._turn)

    def _tally(self, endpoint_id: str) -> _Tally:
        tally = self._tallies.get(endpoint_id)
        if tally is None:
            tally = self._tallies[endpoint_id] = _Tally()
        return tally

    async def _wait(self, waiter: _Waiter, *, until_s: float, hold_until_s: float) -> Endpoint | None:
        model = self.table.find(waiter.want)[0].model
        queue = self._waiting.setdefault(model, deque())
        if len(queue) >= self.max_waiting:
            message = f"{len(queue)} requests wait for model {model!r} already"
            raise Overloaded(message, retry_after_s=self._retry_after_s(model))
        queue.append(waiter)
        try:
            async with asyncio.timeout(max(0.0, min(until_s, hold_until_s) - self.clock())):
                return await waiter.place
        except (TimeoutError, asyncio.CancelledError) as error:
            self._give_back(waiter)
            if isinstance(error, asyncio.CancelledError):
                raise
            if until_s <= hold_until_s:
                raise DeadlineExceeded(f"no replica of {model!r} had a free place in time") from None
            raise self._held_too_long(waiter.want, model) from None
        finally:
            queue.remove(waiter)
            if not queue and self._waiting.get(model) is queue:
                del self._waiting[model]

    def _held_too_long(self, want: Want, model: str) -> NotReady | Overloaded:
        served = self.table.find(want)
        if any(one.endpoints for one in served):
            message = f"no replica of {model!r} had a free place for {self.hold_s:g} s"
            return Overloaded(message, retry_after_s=self._retry_after_s(model))
        message = f"no replica of {model!r} came up within {self.hold_s:g} s: {_cause(served)}"
        return NotReady(message, retry_after_s=5.0)

    def _retry_after_s(self, model: str) -> float:
        """When the queue will have moved on, by the pace of its last places."""
        handed, waiting = self._handed.get(model), self._waiting.get(model)
        if handed is None or waiting is None or len(handed) < 2:
            return 1.0
        return min(_LONGEST_RETRY_S, len(waiting) * (handed[-1] - handed[0]) / (len(handed) - 1))

    def _give_back(self, waiter: _Waiter) -> None:
        """One who leaves passes on the place that it was handed in that very moment."""
        if waiter.place.done() and not waiter.place.cancelled() and (handed := waiter.place.result()) is not None:
            self.release(handed)

    def _next(self, endpoint: Endpoint) -> _Waiter | None:
        """The first of those who wait and may go there."""
        for waiter in self._waiting.get(endpoint.model, ()):
            if not waiter.place.done() and waiter.can_take(endpoint):
                return waiter
        return None


def _cause(served: Iterable[Served]) -> str:
    """Why none of them serves."""
    return "; ".join(dict.fromkeys(one.cause for one in served if one.cause)) or "every replica failed"


def _load(one: tuple[Endpoint, _Tally]) -> tuple[float, int]:
    endpoint, tally = one
    return (tally.in_flight / endpoint.capacity, tally.used)
