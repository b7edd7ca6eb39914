"""What a gateway tells of its demand, and when: virtual time, a real router, a store that notes what it hears."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from test_routing import Clock, endpoint, table

from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import DeploymentId
from tokenforge.domain.errors import StoreFailed
from tokenforge.gateway.demand import LEAST_ANSWERS, TTFT_WINDOW_S, DemandMeter, DemandReporter
from tokenforge.gateway.routing import Endpoint, Router, Want

ID = DeploymentId("d-sim")


@dataclass(slots=True)
class Heard:
    """The port Demands that keeps every report; `is_broken`: it fails."""

    reports: list[Mapping[DeploymentId, Demand]] = field(default_factory=list)
    is_broken: bool = False

    async def report(self, gateway: str, demands: Mapping[DeploymentId, Demand], *, ttl_s: float) -> None:
        """Note it."""
        assert (gateway, ttl_s > 0) == ("g", True)
        if self.is_broken:
            raise StoreFailed("the disk is full")
        self.reports.append(demands)

    async def all(self) -> Mapping[DeploymentId, Demand]:
        """The last one."""
        return self.reports[-1]


class Gateway:
    """A router, its meter and its reporter, on one clock."""

    def __init__(self, *endpoints: Endpoint, most: int | None = 4) -> None:
        self.clock = Clock(100.0)
        self.heard = Heard()
        self.router = Router(clock=self.clock)
        self.router.replace(table(*endpoints, most=most))
        self.meter = DemandMeter(router=self.router, clock=self.clock)
        self.reporter = DemandReporter(meter=self.meter, demands=self.heard, gateway="g")
        self.router.tell_held = self.reporter.held

    async def run(self, seconds: float) -> Demand | None:
        """So much time goes by; what the last report said."""
        for _ in range(round(seconds * 10)):
            self.clock.now_s += 0.1
            await self.reporter.turn()
        return self.heard.reports[-1].get(ID) if self.heard.reports else None

    async def take(self) -> Endpoint:
        return await self.router.take(Want(model="m"), without=(), until_s=1e9)


async def test_requests_in_flight_are_told_as_their_mean() -> None:
    gateway = Gateway(endpoint("a", capacity=9))
    await gateway.run(0.1)
    taken = await gateway.take()
    await gateway.run(0.2)
    gateway.router.release(taken)
    seen = await gateway.run(0.4)
    assert seen is not None
    assert 0.3 <= seen.in_flight <= 0.4


async def test_one_held_at_zero_is_told_at_once() -> None:
    gateway = Gateway()
    await gateway.run(0.6)
    waiting = asyncio.create_task(gateway.take())
    await asyncio.sleep(0)
    seen = await gateway.run(0.1)
    assert seen is not None
    assert seen.waiting == 1.0
    waiting.cancel()


async def test_nothing_is_told_of_deployments_that_do_not_scale() -> None:
    gateway = Gateway(endpoint("a"), most=None)
    await gateway.take()
    await gateway.run(10)
    assert gateway.heard.reports == []


async def test_what_stands_still_is_told_seldom_but_never_forgotten() -> None:
    gateway = Gateway(endpoint("a"))
    await gateway.take()
    await gateway.run(20)
    assert 8 <= len(gateway.heard.reports) <= 12


async def test_the_last_request_is_known_though_it_was_too_short_to_be_seen() -> None:
    gateway = Gateway(endpoint("a"))
    before = await gateway.run(1)
    gateway.router.release(await gateway.take())
    after = await gateway.run(3)
    assert before is not None
    assert after is not None
    assert before.idle_s is None
    assert after.idle_s is not None
    assert 0 <= after.idle_s < 3


async def test_times_to_the_first_token_are_told_from_enough_answers_of_the_last_seconds() -> None:
    gateway = Gateway(endpoint("a"))
    await gateway.run(0.1)
    for number in range(LEAST_ANSWERS - 1):
        gateway.meter.first_token(ID, 0.1 * (number + 1))
    few = await gateway.run(3)
    gateway.meter.first_token(ID, 2.0)
    enough = await gateway.run(3)
    old = await gateway.run(TTFT_WINDOW_S + 1)
    assert [seen and seen.ttft_p90_ms for seen in (few, enough, old)] == [None, 2_000.0, None]
    assert enough is not None
    assert enough.ttft_p50_ms == 300.0


async def test_a_store_that_fails_is_told_later() -> None:
    gateway = Gateway(endpoint("a"))
    gateway.heard.is_broken = True
    await gateway.take()
    await gateway.run(3)
    gateway.heard.is_broken = False
    seen = await gateway.run(1)
    assert seen is not None
    assert seen.in_flight == 1.0


async def test_a_gateway_that_ends_takes_back_what_it_said() -> None:
    gateway = Gateway(endpoint("a"))
    await gateway.run(1)
    stop = asyncio.Event()
    stop.set()
    await gateway.reporter.run(stop)
    assert gateway.heard.reports[-1] == {}
