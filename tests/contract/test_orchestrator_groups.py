"""Engines on several nodes, on a cluster twin: groups come up, say why they do not, are replaced, leave nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from cluster_stage import LIMIT_S, Stage, healthy, message, serves
from hollow_node import Fate
from placement_rigs import twin_place

from tokenforge.cluster.base import Standing
from tokenforge.domain.benchmark import Resources
from tokenforge.domain.deployment import Deployment
from tokenforge.domain.errors import ClusterRefused, InvalidInput
from tokenforge.domain.runtime import parse_runtime
from tokenforge.protocol.worker_spec import WorkerPhase

GPUS = {"nvidia.com/gpu": "64"}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with twin_place(tmp_path) as (place, server):
        place.node.allocatable |= GPUS
        await place.node.beat()
        orchestrator = place.orchestrator()
        yield Stage(place, orchestrator, server)
        await orchestrator.close()


def wide(stage: Stage, **changes: object) -> Deployment:
    """A deployment of two nodes a replica."""
    return stage.deployment(**{"runtime": parse_runtime("vllm"), "resources": Resources(gpu=16), **changes})  # type: ignore[arg-type]


def pods(stage: Stage) -> list[str]:
    assert stage.server is not None
    return [key[2] for key, _ in stage.server.store.list("v1/pods", None)]


async def until_gone(stage: Stage) -> None:
    assert stage.server is not None
    groups, policies = "leaderworkerset.x-k8s.io/v1/leaderworkersets", "networking.k8s.io/v1/networkpolicies"
    kinds = ("v1/pods", "v1/services", groups, policies)
    async with asyncio.timeout(LIMIT_S):
        while any(stage.server.store.list(kind, None) for kind in kinds):  # noqa: ASYNC110 - told by nobody
            await asyncio.sleep(0.02)


async def test_a_group_is_one_replica_at_its_leader(stage: Stage) -> None:
    deployment = wide(stage, replicas=2)
    await stage.apply(deployment)
    standing = await stage.until(deployment, serves(2))
    assert standing is not None
    assert len(pods(stage)) == 4
    assert [pod.name.rpartition("-")[2] for pod in standing.pods] == ["0", "1"]
    assert healthy(deployment, standing)[0] == "Healthy"


async def test_why_a_follower_does_not_come_is_said_of_the_deployment(stage: Stage) -> None:
    stage.place.node.allocatable["nvidia.com/gpu"] = "8"
    await stage.place.node.beat()
    deployment = wide(stage, engine_args={"fate": Fate.LOADS.name})
    await stage.apply(deployment)
    standing = await stage.until(deployment, lambda s: s is not None and any(pod.cause for pod in s.pods))
    assert healthy(deployment, standing) == ("Unschedulable", True)
    assert "-0-1: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu" in message(deployment, standing)


async def test_a_quota_that_keeps_a_group_away_is_told(stage: Stage) -> None:
    space = stage.place.site.namespace
    quota = {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": space},
        "spec": {"hard": {"pods": "0"}},
    }  # fmt: skip
    await stage.place.node.api.apply(f"/api/v1/namespaces/{space}/resourcequotas/small", quota)
    deployment = wide(stage)
    await stage.apply(deployment)
    standing = await stage.until(deployment, lambda s: s is not None and s.trouble is not None)
    assert healthy(deployment, standing) == ("QuotaExceeded", True)
    assert "exceeded quota: small" in message(deployment, standing)


async def test_a_new_revision_replaces_groups_and_is_ready_only_then(stage: Stage) -> None:
    await stage.apply(wide(stage))
    await stage.until(wide(stage), serves(1))
    before = set(pods(stage))
    changed = wide(stage, generation=2, revision="2")
    await stage.apply(changed)
    await stage.until(changed, serves(1, generation=2))
    assert not before & set(pods(stage))


async def test_from_one_node_to_several_and_back_nothing_ends_before_something_serves(stage: Stage) -> None:
    narrow = {"resources": Resources(gpu=8)}
    await stage.apply(wide(stage, **narrow))
    await stage.until(wide(stage), serves(1))
    for generation, changes in ((2, {}), (3, narrow)):
        deployment = wide(stage, generation=generation, revision=str(generation), **changes)
        await stage.apply(deployment)
        served = 0
        async with asyncio.timeout(LIMIT_S):
            while not serves(1, generation=generation)(standing := await _seen(stage, deployment)):
                ready = [pod for pod in standing.pods if pod.phase is WorkerPhase.READY] if standing else []
                assert ready, "nobody serves meanwhile"
                served += len(ready)
                await stage.apply(deployment)
                await asyncio.sleep(0.01)
        assert served


async def _seen(stage: Stage, deployment: Deployment) -> Standing | None:
    return (await stage.orchestrator.look()).get(deployment.id)


async def test_deletion_leaves_nothing(stage: Stage) -> None:
    deployment = wide(stage, replicas=2)
    await stage.apply(deployment)
    await stage.until(deployment, serves(2))
    await stage.orchestrator.remove(deployment.id)
    await stage.until(deployment, lambda standing: standing is None)
    await until_gone(stage)


async def test_another_look_finds_groups_before_anything_is_applied(stage: Stage) -> None:
    deployment = wide(stage)
    await stage.apply(deployment)
    await stage.until(deployment, serves(1))
    other = stage.place.orchestrator()
    try:
        found = await replace(stage, orchestrator=other).until(deployment, serves(1))
        assert found is not None
        await other.remove(deployment.id)
        await stage.until(deployment, lambda standing: standing is None)
    finally:
        await other.close()


async def test_a_role_without_the_right_to_groups_serves_the_rest(stage: Stage) -> None:
    assert stage.server is not None
    stage.server.forbidden.add("leaderworkerset.x-k8s.io/v1/leaderworkersets")
    other = stage.place.orchestrator()
    there = replace(stage, orchestrator=other)
    try:
        with pytest.raises(ClusterRefused, match="leaderworkersets is forbidden") as caught:
            await other.apply(wide(stage))
        assert caught.value.code == "cluster_forbidden"
        await there.apply(stage.deployment(identity="0190aaaa-0002"))
        await there.until(stage.deployment(identity="0190aaaa-0002"), serves(1))
    finally:
        await other.close()


async def test_a_cluster_without_the_kind_serves_the_rest(stage: Stage) -> None:
    assert stage.server is not None
    stage.server.absent.add("leaderworkerset.x-k8s.io/v1")
    other = stage.place.orchestrator()
    there = replace(stage, orchestrator=other)
    try:
        with pytest.raises(InvalidInput, match="has no LeaderWorkerSet"):
            await other.apply(wide(stage))
        await there.apply(stage.deployment())
        await there.until(stage.deployment(), serves(1))
    finally:
        await other.close()
