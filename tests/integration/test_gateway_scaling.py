"""A gateway and deployments that scale: requests at zero are held and told of, and so are times to the first token."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_rig import GOOD, Hanging, Rig, gateway, streaming

from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import Autoscale, DeploymentId
from tokenforge.gateway.demand import LEAST_ANSWERS

RULE = Autoscale(min=0, max=2, target=4)
INFER = {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 2}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """A gateway that reports."""
    async with gateway(tmp_path) as rig:
        stop = asyncio.Event()
        reporting = asyncio.create_task(rig.app.plane.reporter.run(stop))
        yield rig
        stop.set()
        await reporting


async def told(rig: Rig, identity: DeploymentId) -> Demand:
    return (await rig.store.demands.all()).get(identity, Demand())


async def test_a_request_at_zero_is_held_told_and_served_by_the_first_replica(rig: Rig) -> None:
    identity = await rig.deploy(autoscale=RULE)
    asked = asyncio.create_task(rig.post("/infer", INFER))
    async with asyncio.timeout(10):
        while not (await told(rig, identity)).waiting:  # noqa: ASYNC110 - a database has no event
            await asyncio.sleep(0.02)
    assert not asked.done()
    await rig.wake(identity, streaming(*GOOD))
    status, body, _ = await asked
    assert (status, body["text"]) == (200, "Hello")


async def test_a_client_that_stops_waiting_is_waited_for_no_more(rig: Rig) -> None:
    identity = await rig.deploy(autoscale=RULE)
    status, _, _ = await rig.post("/infer", INFER, **{"x-tokenforge-timeout-s": "0.3"})
    assert status == 504
    assert rig.app.plane.router.asked()[identity].waiting == 0


async def test_what_no_replica_came_up_for_is_503_with_retry_after(tmp_path: Path) -> None:
    async with gateway(tmp_path, hold_s=0.2) as rig:
        await rig.deploy(autoscale=RULE)
        status, body, headers = await rig.post("/infer", INFER)
    assert (status, body["code"], headers["retry-after"]) == (503, "not_ready", "5")
    assert "came up within 0.2 s" in body["detail"]


async def test_what_found_no_place_for_so_long_is_429_with_retry_after(tmp_path: Path) -> None:
    worker = Hanging()
    async with gateway(tmp_path, hold_s=0.2) as rig:
        await rig.capacity(await rig.deploy(worker), 1)
        holding = [asyncio.create_task(rig.post("/infer", {**INFER, "stream": True})) for _ in range(2)]
        await rig.until(lambda: len(rig.asked) == 2)
        status, body, headers = await rig.post("/infer", INFER)
        for task in holding:
            task.cancel()
    assert (status, body["code"], headers["retry-after"]) == (429, "overloaded", "1")


async def test_without_autoscale_nothing_is_held_and_nothing_told(rig: Rig) -> None:
    identity = await rig.deploy()
    assert (await rig.post("/infer", INFER))[0] == 503
    await asyncio.sleep(0)
    assert await told(rig, identity) == Demand()


async def test_times_to_the_first_token_of_both_apis_are_told(rig: Rig) -> None:
    identity = await rig.deploy(streaming(*GOOD), autoscale=RULE)
    async with asyncio.timeout(10):
        while (await told(rig, identity)).ttft_p90_ms is None:
            for path in ("/infer", "/v1/completions"):
                asking = [rig.post(path, {**INFER, "stream": True}) for _ in range(LEAST_ANSWERS)]
                await asyncio.gather(*asking)
            await asyncio.sleep(0.1)
    seen = await told(rig, identity)
    assert seen.ttft_p50_ms is not None
    assert seen.ttft_p90_ms is not None
    assert 0 < seen.ttft_p50_ms <= seen.ttft_p90_ms
