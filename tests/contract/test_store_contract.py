"""What every store promises, whatever database is under it. A new database is one more parameter of `place`."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tokenforge.domain.api_key import ApiKey
from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import DeploymentId, DeploymentSpec
from tokenforge.domain.deployment_state import Condition, Observed, Phase, Replica, ReplicaPhase
from tokenforge.domain.errors import AlreadyExists, KeyReused, LeaseLost, NotFound
from tokenforge.domain.model import parse_model
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.domain.run import RunStatus
from tokenforge.domain.runtime import Quant, parse_runtime
from tokenforge.store.base import IdempotencyKey, Lease
from tokenforge.store.sql.store import Store, open_store

SPEC = DeploymentSpec(
    name="tiny",
    model=parse_model("synthetic:tiny"),
    runtime=parse_runtime("sim"),
    quant=Quant.FP16,
    engine_args={"seed": 7, "nested": {"a": [1, None]}},
    tolerations=({"key": "gpu", "operator": "Exists"},),
    env=("HF_TOKEN",),
)
OBSERVED = Observed(
    generation=1,
    phase=Phase.READY,
    conditions=(Condition(type="Ready", is_true=True, reason="Ready", message="1 of 1", since="2026-01-01T00:00:00Z"),),
    replicas=(Replica(id="r", template=SPEC.template, phase=ReplicaPhase.READY, url="http://127.0.0.1:1"),),
)
KEY = IdempotencyKey(key="k", body_sha256="0" * 64)


async def make(store: Store, identity: str = "d1", *, spec: DeploymentSpec = SPEC, chosen: bool = False) -> None:
    await store.deployments.create(spec, identity=DeploymentId(identity), idempotency=None, is_name_chosen=chosen)


async def held(store: Store) -> Lease:
    lease = await store.leases.acquire("control", owner="a", ttl_s=60)
    assert lease is not None
    return lease


async def test_a_deployment_comes_back_as_it_was_kept(store: Store) -> None:
    await make(store)
    assert (await store.deployments.get(DeploymentId("d1"))).spec == SPEC


async def test_what_was_observed_comes_back_as_it_was_kept(store: Store) -> None:
    await make(store)
    await store.observations.observe(DeploymentId("d1"), OBSERVED, lease=await held(store))
    assert (await store.deployments.get(DeploymentId("d1"))).observed == OBSERVED


async def test_an_unknown_deployment_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="nobody"):
        await store.deployments.get(DeploymentId("nobody"))


async def test_a_name_that_was_not_chosen_gets_a_number_when_taken(store: Store) -> None:
    await make(store)
    await make(store, "d2")
    assert [deployment.spec.name for deployment in await store.deployments.list()] == ["tiny", "tiny-2"]


async def test_a_chosen_name_that_is_taken_is_refused(store: Store) -> None:
    await make(store)
    with pytest.raises(AlreadyExists, match="tiny"):
        await make(store, "d2", chosen=True)


async def test_the_same_key_and_body_give_the_same_deployment(store: Store) -> None:
    for identity in ("d1", "d2"):
        made, is_new = await store.deployments.create(
            SPEC, identity=DeploymentId(identity), idempotency=KEY, is_name_chosen=False
        )
        assert (made.id, is_new) == ("d1", identity == "d1")


async def test_the_same_key_with_another_body_is_refused_and_makes_nothing(store: Store) -> None:
    await store.deployments.create(SPEC, identity=DeploymentId("d1"), idempotency=KEY, is_name_chosen=False)
    with pytest.raises(KeyReused):
        await store.deployments.create(
            SPEC, identity=DeploymentId("d2"), idempotency=replace(KEY, body_sha256="1" * 64), is_name_chosen=False
        )
    assert len(await store.deployments.list()) == 1


async def test_a_key_whose_deployment_is_gone_makes_a_new_one(store: Store) -> None:
    for identity in ("d1", "d2"):
        made, is_new = await store.deployments.create(
            SPEC, identity=DeploymentId(identity), idempotency=KEY, is_name_chosen=False
        )
        assert (made.id, is_new) == (identity, True)
        await store.observations.remove(DeploymentId(identity), lease=await held(store))


async def test_a_real_change_alone_is_a_new_generation(store: Store) -> None:
    await make(store)
    same = await store.deployments.change(DeploymentId("d1"), lambda spec: spec)
    other = await store.deployments.change(DeploymentId("d1"), lambda spec: replace(spec, replicas=3))
    assert (same.generation, other.generation, other.spec.replicas) == (1, 2, 3)


async def test_a_change_that_raises_changes_nothing(store: Store) -> None:
    await make(store)
    with pytest.raises(ZeroDivisionError):
        await store.deployments.change(DeploymentId("d1"), lambda spec: replace(spec, replicas=1 // 0))
    assert (await store.deployments.get(DeploymentId("d1"))).generation == 1


async def test_a_deleted_deployment_stays_until_control_removes_it(store: Store) -> None:
    await make(store)
    assert (await store.deployments.delete(DeploymentId("d1"))).is_deleting
    await store.observations.remove(DeploymentId("d1"), lease=await held(store))
    assert await store.deployments.list() == ()


async def test_every_change_grows_the_version(store: Store) -> None:
    seen = [await store.observations.version()]
    await make(store)
    seen.append(await store.observations.version())
    await store.observations.observe(DeploymentId("d1"), OBSERVED, lease=await held(store))
    seen.append(await store.observations.version())
    assert seen[0] < seen[1] < seen[2]


async def test_a_second_owner_waits_for_the_lease(store: Store) -> None:
    await held(store)
    assert await store.leases.acquire("control", owner="b", ttl_s=60) is None


async def test_a_lease_keeps_its_epoch_while_its_holder_is_the_last_and_a_new_one_begins_another(store: Store) -> None:
    ran_out = await store.leases.acquire("control", owner="a", ttl_s=-1)
    first = await held(store)
    again = await held(store)
    assert ran_out is not None
    assert ran_out.epoch == first.epoch
    await store.leases.release(again)
    other = await store.leases.acquire("control", owner="b", ttl_s=60)
    assert other is not None
    assert (first.epoch, again.epoch, other.epoch) == (1, 1, 2)


async def test_a_lease_that_ran_out_can_be_taken_and_its_old_holder_writes_no_more(store: Store) -> None:
    await make(store)
    old = await store.leases.acquire("control", owner="a", ttl_s=-1)
    assert old is not None
    assert await store.leases.acquire("control", owner="b", ttl_s=60) is not None
    with pytest.raises(LeaseLost):
        await store.observations.observe(DeploymentId("d1"), OBSERVED, lease=old)
    with pytest.raises(LeaseLost):
        await store.observations.remove(DeploymentId("d1"), lease=old)
    assert (await store.deployments.get(DeploymentId("d1"))).observed == Observed()


async def test_events_are_read_on_from_where_one_was(store: Store) -> None:
    for number in range(3):
        await store.events.append("d1", reason="Tick", message=str(number))
    await store.events.append("d2", reason="Tick", message="of another")
    first, *rest = await store.events.after("d1", seq=0, limit=10)
    assert [event.message for event in rest] == ["1", "2"]
    assert await store.events.after("d1", seq=first.seq, limit=10) == tuple(rest)


async def test_a_key_is_kept_until_it_is_revoked(store: Store) -> None:
    key = ApiKey(id="1", name="ci", sha256="a" * 64, scopes=frozenset({"infer"}), created_at="2026-01-01T00:00:00Z")
    await store.keys.add(key)
    assert await store.keys.list() == (key,)
    await store.keys.revoke("ci")
    assert await store.keys.list() == ()


async def test_a_key_of_a_taken_name_is_refused_and_an_unknown_one_cannot_be_revoked(store: Store) -> None:
    key = ApiKey(id="1", name="ci", sha256="a" * 64, scopes=frozenset(), created_at="2026-01-01T00:00:00Z")
    await store.keys.add(key)
    with pytest.raises(AlreadyExists):
        await store.keys.add(replace(key, id="2", sha256="b" * 64))
    with pytest.raises(NotFound):
        await store.keys.revoke("nobody")


def named(identity: str) -> QueuedBenchmark:
    runs = tuple(replace(run, id=f"{identity}-{run.id}") for run in BENCHMARK.runs)
    return replace(BENCHMARK, id=identity, runs=runs)


BENCHMARK = QueuedBenchmark(
    id="b1",
    body={"model": "synthetic:tiny"},
    runs=(
        QueuedRun(id="r1", model="synthetic:tiny", runtime="sim", workload="w"),
        QueuedRun(id="r2", model="synthetic:tiny", runtime="vllm", workload="w"),
    ),
    created_at="",
)


async def test_a_queued_benchmark_comes_back_with_its_runs_in_order(store: Store) -> None:
    kept = await store.benchmarks.enqueue(BENCHMARK, idempotency=None)
    assert await store.benchmarks.get("b1") == kept == replace(BENCHMARK, created_at=kept.created_at)
    assert (await store.benchmarks.find_run("r2"))[1] == BENCHMARK.runs[1]


async def test_the_same_key_queues_a_benchmark_once(store: Store) -> None:
    first = await store.benchmarks.enqueue(BENCHMARK, idempotency=KEY)
    again = await store.benchmarks.enqueue(replace(BENCHMARK, id="b2"), idempotency=KEY)
    assert first == again
    assert len(await store.benchmarks.list(limit=9)) == 1


async def test_runs_take_allowed_steps_only(store: Store) -> None:
    await store.benchmarks.enqueue(BENCHMARK, idempotency=None)
    lease = await held(store)
    early = await store.benchmarks.step("b1", to=RunStatus.SUCCEEDED, lease=lease)
    begun = await store.benchmarks.step("b1", to=RunStatus.PREPARING, lease=lease, facts={"folder": "/x"})
    assert (early.status, begun.status, begun.facts) == (RunStatus.QUEUED, RunStatus.PREPARING, {"folder": "/x"})


async def test_without_a_lease_a_run_can_only_be_cancelled(store: Store) -> None:
    await store.benchmarks.enqueue(BENCHMARK, idempotency=None)
    with pytest.raises(LeaseLost):
        await store.benchmarks.step("b1", to=RunStatus.PREPARING, lease=None)
    assert (await store.benchmarks.step("b1", to=RunStatus.CANCELLED, lease=None)).status is RunStatus.CANCELLED


async def test_an_unknown_benchmark_or_run_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.benchmarks.get("nothing")
    with pytest.raises(NotFound):
        await store.benchmarks.find_run("nothing")


async def test_two_processes_see_each_others_writes(store: Store, place: Path | str) -> None:
    await make(store)
    other = open_store(place)
    try:
        assert [deployment.id for deployment in await other.deployments.list()] == ["d1"]
    finally:
        await other.close()


async def test_no_change_of_one_process_is_lost_to_another(store: Store, place: Path | str) -> None:
    await make(store)
    other = open_store(place)
    grow = [one.deployments.change(DeploymentId("d1"), lambda spec: replace(spec, replicas=spec.replicas + 1))
            for _ in range(5) for one in (store, other)]  # fmt: skip
    await asyncio.gather(*grow)
    await other.close()
    assert (await store.deployments.get(DeploymentId("d1"))).spec.replicas == SPEC.replicas + 10


async def test_a_key_that_comes_many_times_at_once_makes_one_benchmark(store: Store, place: Path | str) -> None:
    other = open_store(place)
    asked = [(store, other)[number % 2].benchmarks.enqueue(named(f"b{number}"), idempotency=KEY) for number in range(8)]
    made = {benchmark.id for benchmark in await asyncio.gather(*asked)}
    await other.close()
    assert len(made) == len(await store.benchmarks.list(limit=9)) == 1


async def test_one_of_many_gets_the_lease(store: Store, place: Path | str) -> None:
    other = open_store(place)
    asked = [(store, other)[n % 2].leases.acquire("control", owner=str(n), ttl_s=60) for n in range(8)]
    leases = await asyncio.gather(*asked)
    await other.close()
    assert sum(lease is not None for lease in leases) == 1


async def test_work_that_raises_leaves_nothing_behind(store: Store) -> None:
    before = await store.observations.version()
    await make(store, "d1", chosen=True)
    with pytest.raises(AlreadyExists):
        await make(store, "d2", chosen=True)
    assert [deployment.id for deployment in await store.deployments.list()] == ["d1"]
    assert await store.observations.version() == before + 1


async def test_any_text_comes_back_as_it_was_kept(store: Store) -> None:
    text = "100 % of :name, 'quoted' \\ \U0001f600 ? %s"
    await store.events.append("d:1", reason="%", message=text)
    assert [event.message for event in await store.events.after("d:1", seq=0, limit=9)] == [text]


async def test_demand_of_several_gateways_adds_up_and_each_replaces_its_own(store: Store) -> None:
    one, other = DeploymentId("d1"), DeploymentId("d2")
    await store.demands.report("a", {one: Demand(in_flight=9), other: Demand(waiting=1)}, ttl_s=60)
    await store.demands.report("b", {one: Demand(in_flight=2, ttft_p90_ms=30.0)}, ttl_s=60)
    await store.demands.report("a", {one: Demand(in_flight=3, waiting=4, ttft_p90_ms=50.0)}, ttl_s=60)
    assert await store.demands.all() == {one: Demand(in_flight=5, waiting=4, ttft_p90_ms=50.0)}


async def test_demand_of_a_gateway_that_stopped_reporting_ends(store: Store) -> None:
    await store.demands.report("dead", {DeploymentId("d1"): Demand(in_flight=9)}, ttl_s=0.0)
    assert await store.demands.all() == {}


async def test_the_time_since_the_last_request_goes_on_by_the_stores_clock(store: Store) -> None:
    await store.demands.report("a", {DeploymentId("d1"): Demand(idle_s=5.0), DeploymentId("d2"): Demand()}, ttl_s=60)
    seen = await store.demands.all()
    assert seen[DeploymentId("d2")].idle_s is None
    assert 4.9 <= (seen[DeploymentId("d1")].idle_s or 0.0) <= 15.0


async def test_demand_is_no_news_for_those_who_watch_the_version(store: Store) -> None:
    before = await store.observations.version()
    await store.demands.report("a", {DeploymentId("d1"): Demand(in_flight=1)}, ttl_s=60)
    assert await store.observations.version() == before


def refuse(spec: DeploymentSpec, others: Sequence[DeploymentSpec]) -> None:
    raise NotFound(f"{spec.name} beside {[one.name for one in others]}")


async def test_one_that_is_not_admitted_is_not_kept(store: Store) -> None:
    await make(store)
    with pytest.raises(NotFound, match=r"tiny beside \['tiny'\]"):
        await store.deployments.create(
            SPEC, identity=DeploymentId("d2"), idempotency=None, is_name_chosen=False, admit=refuse
        )
    assert len(await store.deployments.list()) == 1


async def test_a_key_gives_its_deployment_though_no_other_would_be_admitted(store: Store) -> None:
    await store.deployments.create(SPEC, identity=DeploymentId("d1"), idempotency=KEY, is_name_chosen=False)
    made, is_new = await store.deployments.create(
        SPEC, identity=DeploymentId("d2"), idempotency=KEY, is_name_chosen=False, admit=refuse
    )
    assert (made.id, is_new) == ("d1", False)


async def test_more_replicas_need_to_be_admitted_and_fewer_do_not(store: Store) -> None:
    await make(store, spec=replace(SPEC, replicas=2))
    with pytest.raises(NotFound, match=r"beside \[\]"):
        await store.deployments.change(DeploymentId("d1"), lambda spec: replace(spec, replicas=3), admit=refuse)
    fewer = await store.deployments.change(DeploymentId("d1"), lambda spec: replace(spec, replicas=1), admit=refuse)
    assert (fewer.spec.replicas, fewer.generation) == (1, 2)


async def test_what_is_being_deleted_is_beside_nobody(store: Store) -> None:
    await make(store)
    await store.deployments.delete(DeploymentId("d1"))
    with pytest.raises(NotFound, match=r"beside \[\]"):
        await store.deployments.create(
            SPEC, identity=DeploymentId("d2"), idempotency=None, is_name_chosen=False, admit=refuse
        )
