"""Control over a fleet in memory and a real store: it leads alone, acts once, and takes up where another left."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fleet_twin import FleetTwin

from tokenforge.control.loop import LEASE_NAME, MAX_STARTING, Control
from tokenforge.control.preparations import Preparations
from tokenforge.control.prepare import Machine, Prepared, require_room
from tokenforge.domain.benchmark import Resources
from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import Autoscale, Deployment, DeploymentId, DeploymentSpec
from tokenforge.domain.errors import NotEnoughMemory
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import Accelerator, Quant, parse_runtime
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.models.resolve import describe_model
from tokenforge.store.sql.store import Store, open_store

SPEC = DeploymentSpec(name="tiny", model=parse_model("synthetic:tiny"), runtime=parse_runtime("sim"))
IDENTITY = DeploymentId("d1")
PREPARED = Prepared(
    runtime=RuntimeSpec(runtime="sim", model_path="/m", served_name="synthetic:tiny"),
    python=Path("/python"),
    process_env={},
)


@dataclass(slots=True)
class Place:
    """A store and a fleet that outlive any control."""

    store: Store
    fleet: FleetTwin
    free_bytes: float = 64 * 2.0**30

    def control(self, owner: str = "a") -> Control:
        numbers = itertools.count()
        return Control(
            deployments=self.store.deployments, observations=self.store.observations, events=self.store.events,
            demands=self.store.demands, leases=self.store.leases, fleet=self.fleet, preparations=self.preparations(),
            owner=owner, new_id=lambda: f"{owner}{next(numbers)}", clock=lambda: self.fleet.now_s,
            free_bytes=lambda: self.free_bytes,
        )  # fmt: skip

    def preparations(self) -> Preparations:
        return Preparations(work=lambda spec, tell: PREPARED, clock=lambda: self.fleet.now_s)

    async def seen(self) -> Deployment:
        return await self.store.deployments.get(IDENTITY)

    async def ask(self, spec: DeploymentSpec = SPEC) -> None:
        await self.store.deployments.create(spec, identity=IDENTITY, idempotency=None, is_name_chosen=False)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    store = open_store(tmp_path / "store.db")
    yield Place(store, FleetTwin())
    await store.close()


async def settle(place: Place, control: Control, turns: int = 8) -> None:
    for _ in range(turns):
        await control.turn()
        await asyncio.sleep(0.005)
        place.fleet.progress()
    await control.turn()


async def test_a_deployment_comes_up_and_is_said_to_be_ready(place: Place) -> None:
    await place.ask()
    await settle(place, place.control())
    assert (await place.seen()).is_ready
    assert place.fleet.launched == 1


async def test_while_one_leads_another_does_nothing(place: Place) -> None:
    await place.ask()
    first, second = place.control("a"), place.control("b")
    await first.turn()
    await settle(place, second)
    assert second.lease is None
    assert not place.fleet.workers


async def test_a_new_control_takes_up_the_workers_of_the_last_one(place: Place) -> None:
    await place.ask()
    first = place.control("a")
    await settle(place, first)
    assert first.lease is not None
    await place.store.leases.release(first.lease)
    await settle(place, place.control("b"))
    assert place.fleet.launched == 1
    assert (await place.seen()).is_ready


async def test_a_control_that_lost_its_lease_writes_nothing(place: Place) -> None:
    await place.ask()
    stale = place.control("a")
    await stale.turn()
    lease = stale.lease
    assert lease is not None
    await place.store.leases.release(lease)
    assert await place.store.leases.acquire(LEASE_NAME, owner="b", ttl_s=60) is not None
    before = await place.seen()
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, stop.set)
    stale.tick_s = 0.01
    await stale.run(stop)
    assert (await place.seen()) == before
    assert place.fleet.launched == 0


async def test_workers_of_a_deployment_that_is_gone_are_ended(place: Place) -> None:
    place.fleet.add("orphan", {"deployment": "gone", "template": "t"})
    await settle(place, place.control())
    assert not place.fleet.workers


async def test_a_deleted_deployment_is_forgotten_once_its_workers_ended(place: Place) -> None:
    await place.ask()
    control = place.control()
    await settle(place, control)
    await place.store.deployments.delete(IDENTITY)
    await settle(place, control)
    assert await place.store.deployments.list() == ()
    assert not place.fleet.workers


async def test_no_worker_starts_where_memory_is_short_and_the_condition_says_so(place: Place) -> None:
    place.free_bytes = 1024.0
    await place.ask()
    await settle(place, place.control())
    seen = await place.seen()
    assert place.fleet.launched == 0
    condition = seen.observed.condition("Prepared")
    assert condition is not None
    assert condition.reason == "NotEnoughMemory"
    assert "are free" in condition.message


async def test_it_starts_once_there_is_memory_again(place: Place) -> None:
    place.free_bytes = 1024.0
    await place.ask()
    control = place.control()
    await settle(place, control)
    place.free_bytes = 2.0**30
    place.fleet.now_s += 120
    await settle(place, control)
    assert (await place.seen()).is_ready


async def test_workers_that_are_coming_up_count_too(place: Place) -> None:
    place.free_bytes = 2.5 * PREPARED.host_bytes
    await place.ask(replace(SPEC, replicas=4))
    control = place.control()
    for _ in range(4):
        await control.turn()
        await asyncio.sleep(0.005)
    assert place.fleet.launched == 2


async def test_what_happened_can_be_read_as_events(place: Place) -> None:
    await place.ask()
    control = place.control()
    await settle(place, control)
    place.fleet.now_s += 5.0
    place.fleet.die(next(iter(place.fleet.workers)), cause="no kernel", code="engine_dead")
    await control.turn()
    events = await place.store.events.after(IDENTITY, seq=0, limit=99)
    assert [event.reason for event in events].count("Started") == 2
    died = next(event for event in events if event.reason == "EngineDied")
    assert "no kernel" in died.message
    assert "its last line" in died.message


async def test_a_patched_deployment_is_scaled(place: Place) -> None:
    await place.ask()
    control = place.control()
    await settle(place, control)
    await place.store.deployments.change(IDENTITY, lambda spec: replace(spec, replicas=3))
    await settle(place, control)
    assert len(place.fleet.workers) == 3
    assert (await place.seen()).is_ready


async def test_many_replicas_come_up_a_few_at_a_time(place: Place) -> None:
    await place.ask(replace(SPEC, replicas=10))
    control = place.control()
    most = 0
    for _ in range(30):
        await control.turn()
        most = max(most, sum(not worker.url for worker in place.fleet.workers.values()))
        await asyncio.sleep(0.005)
        place.fleet.progress()
    assert (await place.seen()).is_ready
    assert most <= MAX_STARTING


MACHINE = Machine(
    home=Path("/nowhere"), find_links=(), extra_indexes=(), base_env={}, hub_offline=True,
    accelerator=Accelerator.CPU, memory_bytes=100 << 30,
)  # fmt: skip


@pytest.mark.parametrize(
    ("quant", "memory_gib", "fits"), [(None, None, False), (Quant.INT4, None, True), (Quant.INT4, 8, False)]
)
def test_a_model_larger_than_memory_is_refused_with_both_numbers(
    quant: Quant | None, memory_gib: int | None, fits: bool
) -> None:
    facts = describe_model(parse_model("synthetic:llama-3-70b"), home=MACHINE.home, offline=True)
    limit = None if memory_gib is None else memory_gib << 30
    spec = replace(SPEC, quant=quant, resources=Resources(memory_bytes=limit))
    if fits:
        require_room(facts, spec, MACHINE)
        return
    with pytest.raises(NotEnoughMemory, match=r"take \d+\.\d GiB, there are \d+\.\d GiB"):
        require_room(facts, spec, MACHINE)


async def test_it_scales_by_what_gateways_tell_and_says_so_in_an_event(place: Place) -> None:
    await place.ask(replace(SPEC, autoscale=Autoscale(min=1, max=4, target=2)))
    control = place.control()
    await settle(place, control)
    await place.store.demands.report("g1", {IDENTITY: Demand(in_flight=2)}, ttl_s=60)
    await place.store.demands.report("g2", {IDENTITY: Demand(in_flight=2, waiting=1)}, ttl_s=60)
    await settle(place, control)
    assert place.fleet.launched == 3
    told = {event.reason: event.message for event in await place.store.events.after(IDENTITY, seq=0, limit=99)}
    assert told["ScaledUp"] == "Scaled: 1 waiting and 4 in flight for 1 replica: 1 -> 3"


async def test_all_deployments_together_have_no_more_replicas_than_they_may(place: Place) -> None:
    for number in range(3):
        await place.store.deployments.create(
            replace(SPEC, name=f"t{number}", replicas=2), identity=DeploymentId(f"d{number}"), idempotency=None,
            is_name_chosen=True,
        )  # fmt: skip
    control = place.control()
    control.most_replicas = 5
    await settle(place, control, turns=12)
    assert place.fleet.launched == 5
    assert [d.is_ready for d in await place.store.deployments.list()] == [True, True, False]
