"""What this gateway is asked for, told to the store: so that control can scale by the demand of all gateways.

Nothing of it is on the hot path: the router's counters are looked at ten times a second, and the store hears their
means twice a second when they moved, else every other second, and at once when a request waits for a replica that is
not there. A deployment without autoscale costs nothing. Refuses to fail: a store that does not answer is told later.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import DeploymentId
from tokenforge.domain.errors import TokenForgeError
from tokenforge.gateway.routing import Asked, Router
from tokenforge.store.base import Demands

_log = logging.getLogger(__name__)

SAMPLE_S = 0.1
REPORT_S = 0.5
STILL_S = 2.0
TTL_S = 6.0
"""A gateway that has not reported for so long is gone: what it said counts no more."""

TTFT_WINDOW_S = 10.0
LEAST_ANSWERS = 5
"""From fewer answers no quantile is told."""

_KEPT_ANSWERS = 2048


@dataclass(slots=True)
class _Seen:
    """What was seen of one deployment since the last report. `came_s` is when a request was last seen to come."""

    samples: list[Asked] = field(default_factory=list)
    turn: int = 0
    came_s: float | None = None


@dataclass(slots=True, kw_only=True)
class DemandMeter:
    """Samples the router. `clock` is monotonic seconds."""

    router: Router
    clock: Callable[[], float]
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _answers: dict[str, deque[tuple[float, float]]] = field(default_factory=dict)

    def first_token(self, deployment: str, ttft_s: float) -> None:
        """An answer has begun, so long after its request came."""
        if deployment in self._seen:
            answers = self._answers.setdefault(deployment, deque(maxlen=_KEPT_ANSWERS))
            answers.append((self.clock(), ttft_s))

    def sample(self) -> None:
        """Look at the counters once."""
        now = self.clock()
        asked = self.router.asked()
        for gone in self._seen.keys() - asked.keys():
            del self._seen[gone]
            self._answers.pop(gone, None)
        for deployment, one in asked.items():
            seen = self._seen.setdefault(deployment, _Seen(turn=one.turn))
            if one.in_flight or one.waiting or one.turn > seen.turn:
                seen.came_s = now
            seen.turn = one.turn
            seen.samples.append(one)

    def forget(self) -> None:
        """What was sampled before this moment counts no more."""
        for seen in self._seen.values():
            seen.samples.clear()

    def read(self) -> dict[DeploymentId, Demand]:
        """The means since the last reading, of each deployment that scales."""
        now = self.clock()
        found = {}
        for deployment, seen in self._seen.items():
            count = max(1, len(seen.samples))
            ttfts = self._ttfts_ms(deployment, now)
            found[DeploymentId(deployment)] = Demand(
                in_flight=round(sum(one.in_flight for one in seen.samples) / count, 2),
                waiting=round(sum(one.waiting for one in seen.samples) / count, 2),
                idle_s=None if seen.came_s is None else now - seen.came_s,
                ttft_p50_ms=_quantile(ttfts, 0.5),
                ttft_p90_ms=_quantile(ttfts, 0.9),
            )
        self.forget()
        return found

    def _ttfts_ms(self, deployment: str, now: float) -> list[float]:
        answers = self._answers.get(deployment, deque())
        while answers and now - answers[0][0] > TTFT_WINDOW_S:
            answers.popleft()
        return sorted(ttft_s * 1e3 for _, ttft_s in answers)


@dataclass(slots=True, kw_only=True)
class DemandReporter:
    """Tells the store what `meter` reads, as `gateway`: a name that no other gateway has."""

    meter: DemandMeter
    demands: Demands
    gateway: str
    _is_held: asyncio.Event = field(default_factory=asyncio.Event)
    _told: Mapping[DeploymentId, Demand] = field(default_factory=dict)
    _told_s: float = float("-inf")
    _read_s: float = float("-inf")
    _is_well: bool = True

    def held(self) -> None:
        """A request waits for a replica that is not there: tell it now."""
        self._is_held.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then the rows of this gateway are taken back."""
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_held.wait(), timeout=SAMPLE_S)
            await self.turn()
        with contextlib.suppress(TokenForgeError):
            await self.demands.report(self.gateway, {}, ttl_s=TTL_S)

    async def turn(self) -> None:
        """Sample, and report when it is time."""
        is_urgent = self._is_held.is_set()
        if is_urgent:
            self._is_held.clear()
            self.meter.forget()
        self.meter.sample()
        clock_s = self.meter.clock()
        if not is_urgent and clock_s - self._read_s < REPORT_S:
            return
        now, self._read_s = self.meter.read(), clock_s
        is_due = clock_s - self._told_s >= STILL_S and bool(now or self._told)
        if is_due or _moved(now, self._told):
            await self._tell(now)

    async def _tell(self, now: Mapping[DeploymentId, Demand]) -> None:
        try:
            await self.demands.report(self.gateway, now, ttl_s=TTL_S)
            self._told, self._told_s, self._is_well = now, self.meter.clock(), True
        except TokenForgeError as error:
            if self._is_well:
                _log.error("the demand could not be told: %s", error)
            self._is_well = False


def _moved(now: Mapping[DeploymentId, Demand], before: Mapping[DeploymentId, Demand]) -> bool:
    """Whether there is more to tell than that time went by."""
    still = {deployment: replace(one, idle_s=None) for deployment, one in before.items()}
    return still != {deployment: replace(one, idle_s=None) for deployment, one in now.items()}


def _quantile(ordered: list[float], share: float) -> float | None:
    """The smallest value that so many are at or below; None from too few."""
    if len(ordered) < LEAST_ANSWERS:
        return None
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1)
