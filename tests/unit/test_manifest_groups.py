"""An engine on several nodes as Kubernetes objects: a LeaderWorkerSet, checked by a schema of its published types."""

from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
from lws_schema import violations as lws_violations
from manifest_samples import GPU_SPEC, RICH, RICH_SITE, deployment_of, of_kind
from pod_security import violations

from tokenforge.cluster.manifests.names import FOLLOWER, ROLE, TEMPLATE
from tokenforge.cluster.manifests.objects import DeploymentObjects, faults_of, objects_of
from tokenforge.cluster.manifests.site import Features, Site
from tokenforge.domain.benchmark import Resources
from tokenforge.domain.deployment import DeploymentSpec
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.runtime import parse_runtime
from tokenforge.protocol.worker_spec import replica_spec_from_json

NEWEST = ".".join(kubernetes_validate.latest_version().split(".")[:2])
WIDE = replace(GPU_SPEC, resources=Resources(gpu=16), autoscale=None, replicas=2)
GROUPS = replace(RICH, has_leader_worker_set=True)


def made(spec: DeploymentSpec = WIDE, *, features: Features = GROUPS, site: Site = RICH_SITE) -> DeploymentObjects:
    return objects_of(deployment_of(spec), site=site, features=features, model_bytes=1 << 30)


def templates(objects: DeploymentObjects) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of the leader, and of the others."""
    group = objects.workload["spec"]["leaderWorkerTemplate"]
    return group["leaderTemplate"], group["workerTemplate"]


def test_more_gpus_than_a_node_has_are_a_group_of_pods_each_with_its_share() -> None:
    objects = made()
    assert objects.workload["kind"] == "LeaderWorkerSet"
    assert objects.workload["spec"]["leaderWorkerTemplate"]["size"] == 2
    for template in templates(objects):
        container = template["spec"]["containers"][0]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "8"
        spec = replica_spec_from_json(container["command"][-1])
        assert (spec.nodes, spec.tensor_parallel, spec.pipeline_parallel) == (2, 8, 2)


def test_tensors_go_across_nodes_where_the_deployment_says_so() -> None:
    leader, _ = templates(made(replace(WIDE, tensor_parallel=16)))
    spec = replica_spec_from_json(leader["spec"]["containers"][0]["command"][-1])
    assert (spec.tensor_parallel, spec.pipeline_parallel) == (16, 1)


def test_what_fits_on_a_node_is_no_group() -> None:
    objects = made(replace(WIDE, resources=Resources(gpu=8)))
    assert objects.workload["kind"] == "Deployment"
    assert (
        replica_spec_from_json(objects.workload["spec"]["template"]["spec"]["containers"][0]["command"][-1]).nodes == 1
    )


def test_the_set_is_valid_by_its_types_and_its_pods_by_the_newest_kubernetes() -> None:
    objects = made(replace(GPU_SPEC, resources=Resources(gpu=16)))
    assert lws_violations(objects.workload) == []
    for template in templates(objects):
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**template["metadata"], "name": "p"},
            "spec": template["spec"],
        }
        kubernetes_validate.validate(pod, NEWEST, strict=True)
        assert violations(template) == []
    for value in objects.around:
        if value["kind"] != "PodMonitor":
            kubernetes_validate.validate(value, NEWEST, strict=True)


@pytest.mark.parametrize(
    ("path", "value"),
    [(("replicas",), "2"), (("startupPolicy",), "Leader"), (("leaderWorkerTemplate", "siz"), 2), (("selector",), {})],
)
def test_the_check_of_the_set_can_fail(path: tuple[str, ...], value: object) -> None:
    workload = made().workload
    place = workload["spec"]
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert len(lws_violations(workload)) == 1


def test_followers_serve_nothing_and_are_known_by_a_label() -> None:
    leader, follower = templates(made())
    container = follower["spec"]["containers"][0]
    assert container["command"][:3] == ["tokenforge", "replica", "follow"]
    assert not {"startupProbe", "readinessProbe", "livenessProbe", "ports", "lifecycle"} & set(container)
    assert (follower["metadata"]["labels"][ROLE], ROLE in leader["metadata"]["labels"]) == (FOLLOWER, False)
    assert follower["metadata"]["labels"][TEMPLATE] == leader["metadata"]["labels"][TEMPLATE]


def test_requests_and_scrapes_go_to_leaders_alone_and_pods_of_a_group_reach_each_other() -> None:
    objects = made()
    for kind, selects in (("Service", "selector"), ("PodMonitor", "selector")):
        found = of_kind(objects, kind)["spec"][selects]
        assert "leaderworkerset.sigs.k8s.io/worker-index" in str(found)
    policy = of_kind(objects, "NetworkPolicy")["spec"]
    own = {"podSelector": policy["podSelector"]}
    assert {"from": [own]} in policy["ingress"]
    assert {"to": [own]} in policy["egress"]


def test_an_autoscaler_scales_groups() -> None:
    objects = made(replace(GPU_SPEC, resources=Resources(gpu=16)))
    assert of_kind(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["kind"] == "LeaderWorkerSet"
    assert "replicas" not in objects.workload["spec"]


def test_without_the_kind_on_the_cluster_it_is_told_what_to_install() -> None:
    with pytest.raises(InvalidInput, match="spans 2 nodes, and this cluster has no LeaderWorkerSet") as caught:
        made(features=RICH)
    assert "install LeaderWorkerSet" in caught.value.faults[0].hint


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (replace(WIDE, resources=Resources(gpu=12)), "resources.gpu"),
        (replace(WIDE, runtime=parse_runtime("transformers")), "resources.gpu"),
        (replace(WIDE, tensor_parallel=5), "tensor_parallel"),
    ],
)
def test_what_cannot_lie_on_nodes_is_refused_by_its_field(spec: DeploymentSpec, field: str) -> None:
    assert [fault.field for fault in faults_of(spec, RICH_SITE)] == [field]
