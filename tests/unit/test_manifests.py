"""Deployments as Kubernetes objects: valid by today's schema, restricted, and with times that are computed."""

from dataclasses import replace
from pathlib import Path

import kubernetes_validate
import pytest
from manifest_samples import GPU_SPEC, MODEL_BYTES, RICH, RICH_SITE, SPEC, deployment_of, made, of_kind, pod_of
from pod_security import violations

from tokenforge.cluster.manifests.names import DEPLOYMENT, GENERATION, TEMPLATE, object_name
from tokenforge.cluster.manifests.objects import faults_of, objects_of, owned
from tokenforge.cluster.manifests.pod import HOME
from tokenforge.cluster.manifests.site import (
    Cache,
    CacheKind,
    Features,
    Pace,
    Site,
    grace_s,
    read_site,
    startup_budget_s,
)
from tokenforge.domain.benchmark import Resources
from tokenforge.domain.deployment import Autoscale, DeploymentSpec
from tokenforge.domain.deployment_state import Observed, Scaling
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.model import parse_model
from tokenforge.protocol.worker_spec import replica_spec_from_json
from tokenforge.telemetry.catalogue.engine import RUNNING
from tokenforge.worker.host import CLOSE_LIMIT_S

NEWEST = ".".join(kubernetes_validate.latest_version().split(".")[:2])
CUSTOM = ("PodMonitor",)  # no schema of Kubernetes' own


@pytest.mark.parametrize(("spec", "site"), [(SPEC, Site()), (GPU_SPEC, RICH_SITE)])
def test_every_object_is_strictly_valid_for_the_newest_kubernetes(spec: DeploymentSpec, site: Site) -> None:
    for value in made(spec, site=site, features=RICH).all:
        if value["kind"] not in CUSTOM:
            kubernetes_validate.validate(value, NEWEST, strict=True)


@pytest.mark.parametrize("break_it", [lambda pod: pod.update(nodeName=3), lambda pod: pod.update(containerz=[])])
def test_the_schema_check_can_fail(break_it: object) -> None:
    value = made().workload
    break_it(value["spec"]["template"]["spec"])  # type: ignore[operator]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(value, NEWEST, strict=True)


@pytest.mark.parametrize(("spec", "site"), [(SPEC, Site()), (GPU_SPEC, RICH_SITE)])
def test_pods_are_as_pod_security_restricted_wants_them(spec: DeploymentSpec, site: Site) -> None:
    assert violations(made(spec, site=site).workload["spec"]["template"]) == []


def test_a_folder_of_the_node_is_the_one_thing_that_is_not_restricted() -> None:
    site = Site(cache=Cache(kind=CacheKind.HOST_PATH, name="/mnt/models"))
    assert violations(made(site=site).workload["spec"]["template"]) == ["volume cache is of kind hostPath"]


def test_the_restricted_check_sees_a_pod_that_says_nothing() -> None:
    assert len(violations({"spec": {"hostPID": True, "containers": [{"name": "a"}]}})) == 5


def test_every_port_names_its_protocol() -> None:
    objects = made(GPU_SPEC, site=RICH_SITE, features=RICH)
    container = pod_of(objects)["containers"][0]
    policy = of_kind(objects, "NetworkPolicy")["spec"]
    rules = [port for rule in (*policy["ingress"], *policy["egress"]) for port in rule["ports"]]
    for port in (*container["ports"], *of_kind(objects, "Service")["spec"]["ports"], *rules):
        assert port["protocol"] in ("TCP", "UDP")


def test_a_pod_may_take_longer_to_end_than_its_drain_and_its_engine() -> None:
    site = Site(pace=Pace(drain_s=100, leave_s=7))
    pod = pod_of(made(site=site))
    spec = replica_spec_from_json(pod["containers"][0]["command"][-1])
    before = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] == grace_s(site.pace)
    assert pod["terminationGracePeriodSeconds"] > before + spec.drain_s + CLOSE_LIMIT_S + 7


@pytest.mark.parametrize("size", [None, 1 << 20, MODEL_BYTES, 140_000_000_000])
def test_a_startup_probe_waits_as_long_as_the_weights_take(size: int | None) -> None:
    probe = pod_of(made(size=size))["containers"][0]["startupProbe"]
    waits_s = probe["periodSeconds"] * probe["failureThreshold"]
    assert waits_s >= startup_budget_s(size, Pace())
    assert waits_s >= 1_700 or size in (1 << 20, MODEL_BYTES)


def test_a_rollout_may_stand_still_for_longer_than_a_start_takes() -> None:
    workload = made(GPU_SPEC, site=RICH_SITE, size=MODEL_BYTES).workload
    probe = workload["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
    assert workload["spec"]["progressDeadlineSeconds"] > probe["periodSeconds"] * probe["failureThreshold"]


def test_gpus_are_asked_by_their_resource_and_their_nodes_are_chosen_and_tolerated() -> None:
    pod = pod_of(made(GPU_SPEC, site=RICH_SITE))
    resources = pod["containers"][0]["resources"]
    assert resources["limits"]["nvidia.com/gpu"] == resources["requests"]["nvidia.com/gpu"] == "2"
    assert resources["limits"]["cpu"] == "7500m"
    assert pod["nodeSelector"] == {"pool": "gpu", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    assert {toleration["key"] for toleration in pod["tolerations"]} == {"team", "nvidia.com/gpu"}
    assert pod["volumes"][-1]["emptyDir"] == {"medium": "Memory", "sizeLimit": "4096Mi"}


def test_memory_is_that_of_the_weights_and_more_unless_it_is_said() -> None:
    default = pod_of(made(SPEC, size=MODEL_BYTES))["containers"][0]["resources"]
    said = pod_of(made(replace(SPEC, resources=Resources(memory_bytes=3 << 30))))["containers"][0]["resources"]
    assert int(default["limits"]["memory"].removesuffix("Mi")) > MODEL_BYTES >> 20
    assert said["limits"]["memory"] == said["requests"]["memory"] == "3072Mi"


def test_a_pod_of_little_memory_asks_for_no_more_than_its_limit() -> None:
    (fetch,) = pod_of(made(replace(SPEC, resources=Resources(memory_bytes=128 << 20))))["initContainers"]
    assert fetch["resources"]["requests"]["memory"] == fetch["resources"]["limits"]["memory"] == "128Mi"


def test_the_hub_token_reaches_only_the_step_that_fetches() -> None:
    pod = pod_of(made(GPU_SPEC, site=RICH_SITE))
    names = [{entry["name"] for entry in pod[kind][0]["env"]} for kind in ("initContainers", "containers")]
    assert ("HF_TOKEN" in names[0], "HF_TOKEN" in names[1]) == (True, False)
    assert ("DB_PASSWORD" in names[0], "DB_PASSWORD" in names[1]) == (False, True)


def test_an_engine_cannot_write_into_a_cache_that_is_shared() -> None:
    mounts = {mount["name"]: mount for mount in pod_of(made(GPU_SPEC, site=RICH_SITE))["containers"][0]["volumeMounts"]}
    assert mounts["cache"] == {"name": "cache", "mountPath": HOME, "readOnly": True}
    assert "readOnly" not in mounts["scratch"]


def test_home_and_caches_lie_on_volumes() -> None:
    container = pod_of(made())["containers"][0]
    places = {mount["mountPath"] for mount in container["volumeMounts"]}
    for entry in container["env"]:
        if entry["name"] in ("HOME", "XDG_CACHE_HOME", "TMPDIR", "HF_HOME", "TOKENFORGE_HOME"):
            assert any(entry["value"] == place or entry["value"].startswith(f"{place}/") for place in places)


def test_only_the_platform_and_monitoring_reach_a_replica() -> None:
    (rule,) = of_kind(made(GPU_SPEC, site=RICH_SITE), "NetworkPolicy")["spec"]["ingress"]
    reached_by = [str(peer) for peer in rule["from"]]
    assert [word in text for word, text in zip(("gateway", "control", "bench", "monitoring"), reached_by, strict=True)]


def test_a_gateway_outside_the_cluster_is_let_in_by_its_network() -> None:
    policy = of_kind(made(site=Site(allowed_from=("10.1.0.0/16",))), "NetworkPolicy")
    assert {"ipBlock": {"cidr": "10.1.0.0/16"}} in policy["spec"]["ingress"][0]["from"]
    kubernetes_validate.validate(policy, NEWEST, strict=True)


@pytest.mark.parametrize("has", [True, False])
def test_a_pod_that_does_not_serve_keeps_no_node_from_being_drained(has: bool) -> None:
    budget = of_kind(made(features=Features(has_unhealthy_eviction=has)), "PodDisruptionBudget")["spec"]
    assert budget.get("unhealthyPodEvictionPolicy") == ("AlwaysAllow" if has else None)
    assert budget["maxUnavailable"] == 1


@pytest.mark.parametrize(("spec", "reaches_hub"), [(SPEC, False), (GPU_SPEC, True)])
def test_a_replica_reaches_the_hub_only_if_its_model_is_there(spec: DeploymentSpec, reaches_hub: bool) -> None:
    egress = of_kind(made(spec, site=RICH_SITE), "NetworkPolicy")["spec"]["egress"]
    assert any(port["port"] == 443 for rule in egress for port in rule["ports"]) is reaches_hub


def test_who_scales_owns_the_number_of_replicas() -> None:
    scaled = made(GPU_SPEC, site=RICH_SITE, features=RICH)
    assert "replicas" not in scaled.workload["spec"]
    assert of_kind(scaled, "HorizontalPodAutoscaler")["spec"]["minReplicas"] == 1


def test_the_metric_that_a_site_scales_by_is_one_that_workers_have() -> None:
    assert Site().autoscale_metric == RUNNING.full_name


def test_nothing_scales_by_a_metric_that_is_not_there() -> None:
    plain = made(GPU_SPEC, site=RICH_SITE, features=Features())
    assert plain.workload["spec"]["replicas"] == 3
    assert "HorizontalPodAutoscaler" not in {value["kind"] for value in plain.all}


@pytest.mark.parametrize("rule", [Autoscale(min=0, max=2, target=8), Autoscale(min=1, max=2, target=8, ttft_ms=500)])
def test_what_the_cluster_s_scaler_cannot_do_control_does(rule: Autoscale) -> None:
    deployment = replace(
        deployment_of(replace(SPEC, autoscale=rule)), observed=Observed(scaling=Scaling(replicas=rule.min))
    )
    objects = objects_of(deployment, site=Site(), features=RICH, model_bytes=1)
    assert objects.workload["spec"]["replicas"] == rule.min
    assert "HorizontalPodAutoscaler" not in {value["kind"] for value in objects.all}


def test_a_pod_monitor_is_made_only_where_its_kind_is_known() -> None:
    kinds = [{value["kind"] for value in made(features=Features(has_pod_monitor=has)).all} for has in (True, False)]
    assert ["PodMonitor" in found for found in kinds] == [True, False]


def test_an_old_api_server_gets_the_versions_that_it_knows() -> None:
    old = Features(has_policy_v1=False, has_autoscaling_v2=False, has_autoscale_metric=True)
    objects = made(GPU_SPEC, site=RICH_SITE, features=old)
    assert of_kind(objects, "PodDisruptionBudget")["apiVersion"] == "policy/v1beta1"
    assert of_kind(objects, "HorizontalPodAutoscaler")["apiVersion"] == "autoscaling/v2beta2"


def test_scaling_changes_no_pod_and_a_new_image_changes_all() -> None:
    base, scaled = made(), made(replace(SPEC, replicas=5))
    other = made(site=Site(image="other/{runtime}"))
    assert base.template == scaled.template != other.template
    assert len({base.digest, scaled.digest, other.digest}) == 3


def test_a_changed_revision_starts_pods_anew() -> None:
    assert made().template != made(replace(SPEC, revision="2")).template


def test_the_generation_is_told_and_changes_no_digest() -> None:
    one, two = (
        objects_of(deployment_of(generation=n), site=Site(), features=Features(), model_bytes=1) for n in (1, 2)
    )
    assert [o.workload["metadata"]["annotations"][GENERATION] for o in (one, two)] == ["1", "2"]
    assert one.digest == two.digest


def test_labels_find_what_is_ours() -> None:
    objects = made()
    template = objects.workload["spec"]["template"]["metadata"]["labels"]
    assert template[TEMPLATE] == objects.template
    for value in objects.all:
        assert value["metadata"]["labels"][DEPLOYMENT] == "0190-abcdef12"
        assert value["metadata"]["name"] == object_name(deployment_of())


def test_names_fit_and_two_deployments_never_share_one() -> None:
    long = replace(SPEC, name="a" * 63)
    names = [object_name(deployment_of(long, identity=f"0190-0000000{n}")) for n in (1, 2)]
    assert len(set(names)) == 2
    assert max(map(len, names)) <= 52


def test_what_stands_around_belongs_to_the_workload() -> None:
    objects = made()
    workload = {**objects.workload, "metadata": {**objects.workload["metadata"], "uid": "u1"}}
    value = owned(objects.around[0], owner=workload)
    assert value["metadata"]["ownerReferences"][0]["uid"] == "u1"
    assert "ownerReferences" not in objects.around[0]["metadata"]
    kubernetes_validate.validate(value, NEWEST, strict=True)


@pytest.mark.parametrize(
    ("spec", "site", "field"),
    [
        (replace(SPEC, engine_args={"api_key": "hush-hush"}), Site(), "engine_args.api_key"),
        (replace(SPEC, env=("A",)), Site(), "env"),
        (replace(SPEC, resources=Resources(gpu=9)), Site(), "resources.gpu"),
        (replace(SPEC, model=parse_model("/data/model")), RICH_SITE, "model"),
        (replace(SPEC, model=parse_model(f"{HOME}/../model")), RICH_SITE, "model"),
        (replace(SPEC, model=parse_model(f"{HOME}/model")), Site(), "model"),
    ],
)
def test_what_cannot_be_on_a_cluster_is_refused_by_its_field(spec: DeploymentSpec, site: Site, field: str) -> None:
    assert [fault.field for fault in faults_of(spec, site)] == [field]
    assert "hush-hush" not in str(faults_of(spec, site))
    with pytest.raises(InvalidInput):
        made(spec, site=site)


def test_a_folder_of_the_cache_volume_can_be_served() -> None:
    spec = replace(SPEC, model=parse_model(f"{HOME}/model"))
    assert faults_of(spec, RICH_SITE) == []


def test_a_site_is_read_whole_or_not_at_all() -> None:
    site = read_site({"cache": {"kind": "claim", "name": "m"}, "pace": {"drain_s": 9}}, source="site")
    assert (site.cache.kind, site.pace.drain_s, site.namespace) == (CacheKind.CLAIM, 9.0, "tokenforge")
    with pytest.raises(InvalidInput, match=r"cache\.kin "):
        read_site({"cache": {"kin": "claim"}}, source=str(Path("site.yaml")))
