"""The port to a cluster, on a twin and with --kubeconfig on a real one: causes, ownership, a server that fails."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cluster_stage import LIMIT_S, Stage, healthy, message, name_of, serves
from hollow_node import Fate
from kube_store import Refusal
from manifest_samples import GPU_SPEC, RICH_SITE, deployment_of
from placement_rigs import real_place, twin_place
from ruamel.yaml import YAML

from tokenforge.cluster.kubernetes.api import MANAGER
from tokenforge.cluster.kubernetes.resources import path_of, read_features
from tokenforge.cluster.manifests.around import autoscaler_of
from tokenforge.cluster.manifests.objects import objects_of, owned
from tokenforge.cluster.manifests.site import Cache, CacheKind
from tokenforge.control.settle import ClusterWorld, settle
from tokenforge.domain.benchmark import Resources
from tokenforge.domain.deployment import Autoscale
from tokenforge.domain.errors import ClusterRefused

RBAC = Path(__file__).parents[2] / "deploy" / "kubernetes" / "base" / "rbac.yaml"


@pytest.fixture(params=["twin", "real"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path, kubeconfig: Path | None) -> AsyncIterator[Stage]:
    if request.param == "real" and kubeconfig is None:
        pytest.skip("no cluster was given: --kubeconfig, or make test-k8s")
    if request.param == "real" and kubeconfig is not None:
        async with real_place(kubeconfig) as place:
            orchestrator = place.orchestrator()
            yield Stage(place, orchestrator, None)
            await orchestrator.close()
    else:
        async with twin_place(tmp_path) as (place, server):
            orchestrator = place.orchestrator()
            yield Stage(place, orchestrator, server)
            await orchestrator.close()


CAUSES = [
    (Fate.NO_IMAGE, "ImagePullFailed", "manifest unknown"),
    (Fate.NO_SECRET, "ContainerRefused", 'secret "hub" not found'),
    (Fate.FETCH_FAILS, "ModelNotFetched", "a/b is not on the hub"),
    (Fate.CRASHES, "WorkerDied", "RuntimeError: no kernel image"),
    (Fate.OUT_OF_MEMORY, "OutOfMemory", "more memory than its limit"),
    (Fate.PROBE, "ProbeFailed", "failed startup probe"),
]


@pytest.mark.parametrize(("fate", "reason", "text"), CAUSES)
async def test_what_stops_a_pod_is_a_condition_with_its_cause(
    stage: Stage, fate: Fate, reason: str, text: str, show: Callable[[str], None]
) -> None:
    began_s = time.monotonic()
    deployment = stage.deployment(engine_args={"fate": fate.name})
    await stage.apply(deployment)
    standing = await stage.until(deployment, lambda s: s is not None and any(pod.cause for pod in s.pods))
    show(f"{'twin' if stage.server else 'real'}: {reason} {time.monotonic() - began_s:.1f} s after it was deployed")
    assert healthy(deployment, standing) == (reason, True)
    assert text in message(deployment, standing)


async def test_a_resource_that_no_node_has_is_named(stage: Stage) -> None:
    deployment = stage.deployment(resources=Resources(gpu=3))
    await stage.apply(deployment)
    standing = await stage.until(deployment, lambda s: s is not None and any(pod.cause for pod in s.pods))
    assert healthy(deployment, standing)[0] == "Unschedulable"
    assert "Insufficient nvidia.com/gpu" in message(deployment, standing)


async def test_a_quota_is_named(stage: Stage) -> None:
    space = stage.place.site.namespace
    quota = {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small", "namespace": space},
        "spec": {"hard": {"pods": "0"}},
    }  # fmt: skip
    await stage.place.node.api.apply(f"/api/v1/namespaces/{space}/resourcequotas/small", quota)
    await asyncio.sleep(1.5)  # a real quota counts only once its controller has seen it
    deployment = stage.deployment()
    await stage.apply(deployment)
    standing = await stage.until(deployment, lambda s: s is not None and s.trouble is not None)
    assert healthy(deployment, standing)[0] == "QuotaExceeded"
    assert "exceeded quota: small" in message(deployment, standing)


async def test_what_an_admission_webhook_refuses_is_named(stage: Stage) -> None:
    if stage.server is None:
        pytest.skip("a webhook needs a server of its own that the cluster trusts")

    def refuse(value: dict[str, object]) -> None:
        if value["kind"] == "Deployment":
            raise Refusal(
                403, "Forbidden", 'admission webhook "owners.example" denied the request: label team is missing'
            )

    stage.server.admit = refuse
    deployment = stage.deployment()
    with pytest.raises(ClusterRefused) as caught:
        await stage.orchestrator.apply(deployment)
    world = ClusterWorld(standing=None, refusal=caught.value, is_new=True, now_s=1.0, now="t")
    healthy_now = settle(deployment, world).observed.condition("Healthy")
    assert healthy_now is not None
    assert (healthy_now.reason, healthy_now.is_true) == ("AdmissionRefused", False)
    assert "label team is missing" in healthy_now.message


async def test_what_pod_security_refuses_is_named(stage: Stage) -> None:
    if stage.server is None:
        pytest.skip("Pod Security is of servers newer than the one that is built here")
    space = stage.place.site.namespace
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space, "labels": labels}}
    await stage.place.node.api.apply(f"/api/v1/namespaces/{space}", namespace)
    stage.orchestrator.site = replace(stage.place.site, cache=Cache(kind=CacheKind.HOST_PATH, name="/mnt/models"))
    deployment = stage.deployment()
    await stage.apply(deployment)
    standing = await stage.until(deployment, lambda s: s is not None and s.trouble is not None)
    assert healthy(deployment, standing) == ("AdmissionRefused", True)
    assert "restricted volume type" in message(deployment, standing)


async def test_all_objects_are_taken_by_the_server_dry(stage: Stage) -> None:
    site = replace(RICH_SITE, namespace=stage.place.site.namespace)
    features = await read_features(stage.place.node.api, site)
    for spec in (stage.place.spec, replace(GPU_SPEC, name="gpu")):
        objects = objects_of(deployment_of(spec), site=site, features=features, model_bytes=1 << 30)
        for value in objects.all:
            answer = await stage.place.node.api.apply(path_of(value), value, is_dry=True)
            assert answer["metadata"]["name"] == value["metadata"]["name"]


async def test_what_stands_around_ends_with_the_workload(stage: Stage) -> None:
    deployment = stage.deployment()
    await stage.apply(deployment)
    await stage.until(deployment, serves(1))
    path = path_of(await stage.live("Service", deployment))
    await stage.orchestrator.remove(deployment.id)
    await stage.until(deployment, lambda standing: standing is None)
    for _ in range(int(LIMIT_S / 0.05)):
        if await stage.place.node.api.get(path) is None:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(path)


async def test_what_others_wrote_into_our_objects_stays(stage: Stage) -> None:
    deployment = stage.deployment()
    await stage.apply(deployment)
    service = await stage.live("Service", deployment)
    theirs = {
        **{key: service[key] for key in ("apiVersion", "kind")},
        "metadata": {**name_of(service), "annotations": {"team": "red"}},
    }
    await stage.place.node.api.call(
        "PATCH", path_of(service), params={"fieldManager": "others"}, body=theirs, kind="application/apply-patch+yaml"
    )
    await stage.apply(stage.deployment(generation=2, revision="2"))
    assert (await stage.live("Service", deployment))["metadata"]["annotations"]["team"] == "red"


async def test_a_field_of_ours_is_not_taken_by_others_unless_they_force_it(stage: Stage) -> None:
    deployment = stage.deployment()
    await stage.apply(deployment)
    service = await stage.live("Service", deployment)
    labels = {**service["metadata"]["labels"], "app.kubernetes.io/component": "other"}
    theirs = {
        **{key: service[key] for key in ("apiVersion", "kind")}, "metadata": {**name_of(service), "labels": labels},
    }  # fmt: skip
    with pytest.raises(ClusterRefused, match=f'conflict with "{MANAGER}"') as caught:
        await stage.place.node.api.call(
            "PATCH", path_of(service), params={"fieldManager": "others"}, body=theirs,
            kind="application/apply-patch+yaml",
        )  # fmt: skip
    assert caught.value.code == "conflict"


async def test_a_field_that_is_not_wanted_any_more_is_gone(stage: Stage) -> None:
    node = dict(stage.place.spec.node_selector)
    await stage.apply(stage.deployment(node_selector={**node, "kubernetes.io/os": "linux"}))
    await stage.apply(stage.deployment(generation=2, node_selector=node))
    live = await stage.live("Deployment", stage.deployment())
    assert live["spec"]["template"]["spec"]["nodeSelector"] == node


@pytest.mark.parametrize(
    ("metrics", "is_there"),
    [(None, False), ((), False), (("other",), False), (("other", "tokenforge_requests_running"), True)],
)
async def test_a_cluster_scales_itself_only_by_a_metric_that_it_serves(
    stage: Stage, metrics: tuple[str, ...] | None, is_there: bool
) -> None:
    if stage.server is None:
        pytest.skip("an adapter of metrics is not built here")
    stage.server.metrics = metrics
    features = await read_features(stage.place.node.api, stage.place.site)
    assert features.has_autoscale_metric is is_there


async def test_who_scales_changes_without_a_jump_in_the_number(stage: Stage) -> None:
    """From control to the cluster's autoscaler and back; the metric comes and goes as an adapter that is installed."""
    found = await read_features(stage.place.node.api, stage.place.site)
    metric = replace(found, has_autoscale_metric=True)
    rule = Autoscale(min=1, max=4, target=2)
    await stage.apply(stage.deployment(autoscale=rule, replicas=3))
    stage.orchestrator._features = (metric, time.monotonic())
    await stage.apply(stage.deployment(autoscale=rule, replicas=3))
    workload = await stage.live("Deployment", stage.deployment())
    assert workload["spec"]["replicas"] == 3
    scaler = path_of(autoscaler_of(workload, metric))
    assert (await stage.place.node.api.get(scaler) or {})["spec"]["maxReplicas"] == 4
    await stage.until(stage.deployment(), lambda standing: standing is not None and standing.scaled_by != "")
    await stage.apply(stage.deployment(generation=2, replicas=2))
    assert (await stage.live("Deployment", stage.deployment()))["spec"]["replicas"] == 2
    assert await stage.place.node.api.get(scaler) is None


async def test_what_is_as_wanted_is_not_sent_again(stage: Stage) -> None:
    deployment = stage.deployment()
    await stage.apply(deployment)
    await stage.until(deployment, serves(1))
    await asyncio.sleep(0.5)
    before = await stage.live("Deployment", deployment)
    for _ in range(5):
        await stage.apply(deployment)
    assert await stage.live("Deployment", deployment) == before


async def test_a_try_that_was_cut_between_two_objects_is_made_whole(stage: Stage) -> None:
    deployment = stage.deployment()
    features = await read_features(stage.place.node.api, stage.place.site)
    objects = objects_of(deployment, site=stage.place.site, features=features, model_bytes=1 << 20)
    begun = {**objects.workload, "metadata": {**objects.workload["metadata"], "annotations": {}}}
    owner = await stage.place.node.api.apply(path_of(begun), begun)
    await stage.place.node.api.apply(path_of(objects.around[0]), owned(objects.around[0], owner=owner))
    await stage.until(deployment, lambda standing: standing is not None)
    await stage.apply(deployment)
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
        assert (await stage.live(kind, deployment))["metadata"]["ownerReferences"][0]["uid"] == owner["metadata"]["uid"]


async def test_while_it_ends_it_cannot_be_made_again_under_itsname_of(stage: Stage) -> None:
    deployment = stage.deployment()
    stage.place.node.leave_s = 3.0
    await stage.apply(deployment)
    await stage.until(deployment, serves(1))
    await stage.orchestrator.remove(deployment.id)
    standing = await stage.until(deployment, lambda s: s is not None and s.is_ending)
    assert standing is not None
    stage.place.node.leave_s = 0.0
    await stage.until(deployment, lambda s: s is None)


async def test_a_new_look_finds_what_an_earlier_one_made(stage: Stage) -> None:
    deployment = stage.deployment(replicas=2)
    await stage.apply(deployment)
    await stage.until(deployment, serves(2))
    other = stage.place.orchestrator()
    try:
        found = await Stage(stage.place, other, None).until(deployment, serves(2))
        assert found is not None
        assert found.generation == 1
    finally:
        await other.close()


async def test_the_role_of_control_is_enough_and_reads_no_secret(stage: Stage) -> None:
    if stage.server is not None:
        pytest.skip("a twin knows no roles")
    space = stage.place.site.namespace
    for value in YAML(typ="safe", pure=True).load_all(RBAC.read_text()):
        group = "api/v1" if value["apiVersion"] == "v1" else f"apis/{value['apiVersion']}"
        path = f"/{group}/namespaces/{space}/{value['kind'].lower()}s/{value['metadata']['name']}"
        await stage.place.node.api.apply(path, {**value, "metadata": {**value["metadata"], "namespace": space}})
    control = stage.place.orchestrator()
    control.api._client.headers["Impersonate-User"] = f"system:serviceaccount:{space}:tokenforge-control"
    limited = Stage(stage.place, control, None)
    deployment = stage.deployment()
    try:
        await limited.until(deployment, lambda standing: standing is None)
        await control.apply(deployment)
        await limited.until(deployment, serves(1))
        with pytest.raises(ClusterRefused, match="cannot list resource") as caught:
            await control.api.list(f"/api/v1/namespaces/{space}/secrets", params={})
        assert caught.value.code == "cluster_forbidden"
        await control.remove(deployment.id)
        await limited.until(deployment, lambda standing: standing is None)
    finally:
        await control.close()


async def test_a_server_that_fails_again_and_again_loses_nothing(
    stage: Stage, request: pytest.FixtureRequest, show: Callable[[str], None]
) -> None:
    """Watches cut, versions forgotten, the server away: each time while a change is under way, and it comes to be."""
    command = request.config.getoption("--restart-api")
    if stage.server is None and command is None:
        pytest.skip("this cluster's API server cannot be restarted from here: --restart-api COMMAND")
    rounds, began_s = request.config.getoption("--api-faults"), time.monotonic()
    for number in range(1, rounds + 1):
        deployment = stage.deployment(generation=number, replicas=1 + number % 3, revision=str(number // 4))
        applying = asyncio.create_task(stage.apply(deployment))
        await asyncio.sleep(0.05 * (number % 3))
        await _break(stage, number, command)
        await applying
        await stage.until(deployment, serves(deployment.spec.replicas, generation=number))
    reflectors = stage.orchestrator._reflectors.values()
    assert all(not task.done() for task in stage.orchestrator._tasks)
    assert sum(one.lists for one in reflectors) <= 3 * (2 * rounds + 1)
    watches = sum(one.watches for one in reflectors)
    assert watches <= 30 * rounds + 60, "a loop that is busy"
    show(f"{rounds} faults of the API server in {time.monotonic() - began_s:.1f} s, {watches} watches")


async def _break(stage: Stage, number: int, command: str | None) -> None:
    server = stage.server
    if server is None:
        await asyncio.to_thread(subprocess.run, str(command), shell=True, check=True, timeout=LIMIT_S)
        return
    if number % 3 == 0:
        server.cut_watches()
    elif number % 3 == 1:
        server.store.forget()
        server.cut_watches()
    else:
        await server.stop()
        await asyncio.sleep(0.1)
        server.store.forget()
        await server.start()
