"""One promise wherever a deployment is placed: processes here, a cluster twin, with --kubeconfig a real cluster."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from placement_rigs import BROKEN, Rig, local_place, real_place, twin_place

from tokenforge.domain.deployment import Deployment
from tokenforge.domain.deployment_state import Phase
from tokenforge.store.sql.store import open_store


@pytest.fixture(params=["local", "twin", "real"])
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, models: Callable[[str], Path], kubeconfig: Path | None
) -> AsyncIterator[Rig]:
    store = open_store(tmp_path / "store.db")
    if request.param == "local":
        async with local_place(tmp_path / "workers", models("tiny")) as here:
            yield (rig := Rig(here, store))
            await rig.stop()
    elif request.param == "twin":
        async with twin_place(tmp_path) as (there, _):
            yield (rig := Rig(there, store))
            await rig.stop()
    elif kubeconfig is None:
        pytest.skip("no cluster was given: --kubeconfig, or make test-k8s")
    else:
        async with real_place(kubeconfig) as real:
            yield (rig := Rig(real, store))
            await rig.stop()
    await store.close()


def ready(deployment: Deployment) -> bool:
    return deployment.is_ready


async def test_it_comes_up_with_an_address_and_what_its_engine_is(rig: Rig) -> None:
    rig.start()
    seen = await rig.until(await rig.ask(replace(rig.place.spec, replicas=2)), ready)
    assert len(seen.observed.replicas) == len({replica.url for replica in seen.observed.replicas}) == 2
    assert all(replica.info is not None and replica.url.startswith("http://") for replica in seen.observed.replicas)


async def test_it_is_scaled_up_and_down(rig: Rig) -> None:
    rig.start()
    identity = await rig.ask(rig.place.spec)
    await rig.until(identity, ready)
    for count in (3, 1):
        await rig.scale(identity, count)
        await rig.until(identity, partial(_has, count))


async def test_a_new_revision_replaces_every_worker(rig: Rig) -> None:
    rig.start()
    identity = await rig.ask(rig.place.spec)
    before = await rig.until(identity, ready)
    await rig.store.deployments.change(identity, lambda spec: replace(spec, revision="2"))
    after = await rig.until(identity, partial(_has, 1))
    assert after.observed.replicas[0].id != before.observed.replicas[0].id


async def test_a_new_revision_that_fails_leaves_the_old_one_serving_and_is_never_ready(rig: Rig) -> None:
    rig.start()
    identity = await rig.ask(rig.place.spec)
    before = await rig.until(identity, ready)
    await rig.store.deployments.change(identity, lambda spec: replace(spec, engine_args=BROKEN))
    seen = await rig.until(identity, lambda d: d.generation == d.observed.generation == 2 and _is_unwell(d))
    assert not seen.is_ready
    assert seen.observed.phase is Phase.DEGRADED
    assert before.observed.replicas[0].id in {replica.id for replica in seen.observed.replicas}


async def test_why_a_worker_does_not_come_up_is_told_with_its_last_words(rig: Rig) -> None:
    rig.start()
    identity = await rig.ask(replace(rig.place.spec, engine_args=BROKEN))
    seen = await rig.until(identity, lambda d: d.observed.phase is Phase.FAILED)
    for kind in ("Ready", "Healthy"):
        condition = seen.observed.condition(kind)
        assert condition is not None
        assert not condition.is_true
        assert condition.reason not in ("Healthy", "Failed")
        assert condition.last_words


async def test_a_worker_that_is_gone_is_replaced(rig: Rig) -> None:
    rig.start()
    identity = await rig.ask(rig.place.spec)
    before = await rig.until(identity, ready)
    await rig.place.kill_one()
    gone = before.observed.replicas[0].id
    await rig.until(identity, lambda d: d.is_ready and gone not in {replica.id for replica in d.observed.replicas})


async def test_a_new_control_takes_up_the_workers_of_the_last_one(rig: Rig) -> None:
    rig.start("a")
    identity = await rig.ask(replace(rig.place.spec, replicas=2))
    before = await rig.until(identity, ready)
    await rig.stop()
    rig.start("b")
    await rig.scale(identity, 3)
    after = await rig.until(identity, partial(_has, 3))
    assert {r.id for r in before.observed.replicas} < {r.id for r in after.observed.replicas}


async def test_while_one_leads_another_does_nothing(rig: Rig) -> None:
    rig.start("a")
    rig.start("b")
    await rig.until(await rig.ask(rig.place.spec), ready)
    assert len(await rig.place.workers()) == 1


async def test_deletion_leaves_nothing(rig: Rig) -> None:
    rig.start()
    identity = await rig.ask(replace(rig.place.spec, replicas=2))
    await rig.until(identity, ready)
    await rig.store.deployments.delete(identity)
    await rig.until_gone()


async def test_deletion_while_it_starts_leaves_nothing(rig: Rig) -> None:
    rig.start()
    identity = await rig.ask(rig.place.spec)
    await rig.until(identity, lambda d: d.observed.phase is not Phase.PENDING)
    await rig.store.deployments.delete(identity)
    await rig.until_gone()


async def test_what_belongs_to_no_deployment_is_ended(rig: Rig) -> None:
    rig.start("a")
    identity = await rig.ask(rig.place.spec)
    await rig.until(identity, ready)
    await rig.stop()
    lease = await rig.store.leases.acquire("control", owner="z", ttl_s=5)
    assert lease is not None
    await rig.store.observations.remove(identity, lease=lease)
    await rig.store.leases.release(lease)
    rig.start("b")
    await rig.until_gone()


async def test_nothing_runs_where_nothing_is_wanted(rig: Rig) -> None:
    rig.start()
    identity = await rig.ask(replace(rig.place.spec, replicas=0))
    await rig.until(identity, lambda d: d.observed.phase is Phase.STOPPED)
    await asyncio.sleep(0)
    assert await rig.place.workers() == []


def _has(count: int, deployment: Deployment) -> bool:
    return deployment.is_ready and len(deployment.observed.replicas) == count


def _is_unwell(deployment: Deployment) -> bool:
    healthy = deployment.observed.condition("Healthy")
    return healthy is not None and not healthy.is_true
