"""The platform's own objects (deploy/kubernetes/base): valid by today's schema, restricted, with just the rights."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from manifest_samples import GPU_SPEC, RICH, RICH_SITE, made
from pod_security import violations
from ruamel.yaml import YAML

from tokenforge.cli.cluster_site import site_of
from tokenforge.cluster.manifests.around import network_policy
from tokenforge.cluster.manifests.driver_job import driver_job
from tokenforge.cluster.manifests.names import COMPONENT, INSTANCE
from tokenforge.cluster.manifests.site import Drivers, Site
from tokenforge.domain.benchmark import Resources
from tokenforge.gateway.server import DRAIN_S

BASE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "base"
NEWEST = ".".join(kubernetes_validate.latest_version().split(".")[:2])


def objects() -> list[dict[str, Any]]:
    listed = YAML(typ="safe", pure=True).load((BASE / "kustomization.yaml").read_text())["resources"]
    return [value for name in listed for value in YAML(typ="safe", pure=True).load_all((BASE / name).read_text())]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [value for value in objects() if value["kind"] == kind]


def deployment(name: str) -> dict[str, Any]:
    (found,) = [value for value in of_kind("Deployment") if value["metadata"]["name"] == name]
    return found


@pytest.mark.parametrize("value", objects(), ids=lambda value: f"{value['kind']}-{value['metadata']['name']}")
def test_each_is_strictly_valid_for_the_newest_kubernetes(value: dict[str, Any]) -> None:
    kubernetes_validate.validate(value, NEWEST, strict=True)


def test_every_pod_is_admitted_by_the_namespaces_own_standard() -> None:
    (namespace,) = of_kind("Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for value in of_kind("Deployment"):
        assert violations(value["spec"]["template"]) == []


def test_control_has_the_rights_for_every_object_that_it_makes_and_no_other() -> None:
    (role,) = of_kind("Role")
    may: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        may |= {(group, kind): set(rule["verbs"]) for group in rule["apiGroups"] for kind in rule["resources"]}
    plurals = {
        "Deployment": "deployments", "Service": "services", "PodDisruptionBudget": "poddisruptionbudgets",
        "NetworkPolicy": "networkpolicies", "PodMonitor": "podmonitors",
        "HorizontalPodAutoscaler": "horizontalpodautoscalers", "LeaderWorkerSet": "leaderworkersets", "Job": "jobs",
    }  # fmt: skip
    wide = replace(GPU_SPEC, resources=Resources(gpu=16))
    makes = {
        (value["apiVersion"].rpartition("/")[0], plurals[value["kind"]])
        for value in (
            *made(GPU_SPEC, site=RICH_SITE, features=RICH).all,
            *made(wide, site=RICH_SITE, features=replace(RICH, has_leader_worker_set=True)).all,
            driver_job("j", pods=1, limit_s=1, site=RICH_SITE),
        )
    }
    assert {key for key, verbs in may.items() if "patch" in verbs} == makes
    ended = {"deployments", "leaderworkersets", "jobs", "horizontalpodautoscalers"}
    assert {kind for (_, kind), verbs in may.items() if "delete" in verbs} == ended
    assert not {kind for _, kind in may if kind in ("secrets", "*")}
    assert not [rule for rule in role["rules"] if "*" in (*rule["verbs"], *rule["apiGroups"])]


def test_only_control_has_a_token_of_the_cluster() -> None:
    pods = {d["metadata"]["name"]: d["spec"]["template"]["spec"] for d in of_kind("Deployment")}
    with_token = [name for name, pod in pods.items() if pod["automountServiceAccountToken"]]
    assert with_token == ["tokenforge-control"]


def test_a_gateway_may_take_longer_to_end_than_it_drains() -> None:
    pod = deployment("tokenforge-gateway")["spec"]["template"]["spec"]
    leaves_s = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > leaves_s + DRAIN_S


def test_pods_that_offer_load_are_restricted_valid_and_let_in_by_workers() -> None:
    site = replace(RICH_SITE, drivers=Drivers(node_selector={"pool": "cpu"}, tolerations=({"key": "a"},)))
    job = driver_job("tf-drivers-1", pods=4, limit_s=600, site=site)
    kubernetes_validate.validate(job, NEWEST, strict=True)
    assert violations(job["spec"]["template"]) == []
    labels = job["spec"]["template"]["metadata"]["labels"]
    policy = network_policy(GPU_SPEC, site, {})
    peers = policy["spec"]["ingress"][0]["from"]
    let_in = [peer["podSelector"]["matchLabels"] for peer in peers if "podSelector" in peer]
    assert {INSTANCE: labels[INSTANCE], COMPONENT: labels[COMPONENT]} in let_in
    (bench,) = [value for value in of_kind("NetworkPolicy") if value["metadata"]["name"] == "tokenforge-bench"]
    assert bench["spec"]["podSelector"]["matchLabels"][COMPONENT] == labels[COMPONENT]
    secret = [entry for entry in job["spec"]["template"]["spec"]["containers"][0]["env"] if "SECRET" in entry["name"]]
    assert all("secretKeyRef" in entry["valueFrom"] for entry in secret)


@pytest.mark.parametrize("name", ["gateway", "control"])
def test_the_operator_s_monitors_find_these_pods_and_their_port(name: str) -> None:
    monitors = YAML(typ="safe", pure=True).load_all((BASE.parent / "monitoring" / "podmonitors.yaml").read_text())
    (monitor,) = [value for value in monitors if value["metadata"]["name"] == f"tokenforge-{name}"]
    template = deployment(f"tokenforge-{name}")["spec"]["template"]
    selects = monitor["spec"]["selector"]["matchLabels"].items()
    assert selects <= template["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in template["spec"]["containers"][0]["ports"]}


def test_workers_let_in_these_very_pods() -> None:
    policy = network_policy(GPU_SPEC, Site(), {})
    let_in = [peer["podSelector"]["matchLabels"] for peer in policy["spec"]["ingress"][0]["from"]]
    for name in ("tokenforge-gateway", "tokenforge-control"):
        labels = deployment(name)["spec"]["template"]["metadata"]["labels"]
        assert {INSTANCE: labels[INSTANCE], COMPONENT: labels[COMPONENT]} in let_in


def test_the_site_of_the_base_is_one_that_control_reads() -> None:
    (namespace,) = of_kind("Namespace")
    assert site_of(BASE / "site.yaml").namespace == namespace["metadata"]["name"]
