"""Where objects of each kind live in the API, and which kinds a server has."""

from typing import Any

from tokenforge.cluster.kubernetes.api import Api
from tokenforge.cluster.manifests.group import VERSION as GROUPS
from tokenforge.cluster.manifests.site import Features, Site
from tokenforge.domain.errors import ClusterRefused, ClusterUnreachable

JsonObject = dict[str, Any]

_UNHEALTHY_EVICTION_SINCE = 27
"""The first minor version in which a disruption budget's `unhealthyPodEvictionPolicy` is on by itself."""

_PLURALS = {
    "Deployment": "deployments",
    "Event": "events",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
    "Job": "jobs",
    "LeaderWorkerSet": "leaderworkersets",
    "NetworkPolicy": "networkpolicies",
    "Pod": "pods",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "PodMonitor": "podmonitors",
    "Service": "services",
}


def path_of(value: JsonObject, *, suffix: str = "") -> str:
    """The path of that very object."""
    meta = value["metadata"]
    return f"{collection(value['apiVersion'], value['kind'], namespace=meta['namespace'])}/{meta['name']}{suffix}"


def collection(version: str, kind: str, *, namespace: str) -> str:
    """The path of all objects of a kind in a namespace."""
    root = "/apis" if "/" in version else "/api"
    return f"{root}/{version}/namespaces/{namespace}/{_PLURALS[kind]}"


async def read_features(api: Api, site: Site) -> Features:
    """Ask the server what it has. Raises ClusterUnreachable."""
    metric = await _resources(api, "/apis/custom.metrics.k8s.io/v1beta1")
    said = await api.get("/version") or {}
    minor = int("".join(filter(str.isdigit, str(said.get("minor", "")))) or 0)
    return Features(
        has_unhealthy_eviction=minor >= _UNHEALTHY_EVICTION_SINCE,
        has_policy_v1="poddisruptionbudgets" in await _resources(api, "/apis/policy/v1"),
        has_autoscaling_v2="horizontalpodautoscalers" in await _resources(api, "/apis/autoscaling/v2"),
        has_pod_monitor="podmonitors" in await _resources(api, "/apis/monitoring.coreos.com/v1"),
        has_leader_worker_set="leaderworkersets" in await _resources(api, f"/apis/{GROUPS}"),
        has_autoscale_metric=f"pods/{site.autoscale_metric}" in metric,
    )


async def _resources(api: Api, path: str) -> frozenset[str]:
    """The names that a group's version serves; none where it is not there, or its own server is down."""
    try:
        found = await api.get(path)
    except ClusterRefused:
        return frozenset()
    except ClusterUnreachable as error:
        if "503" in error.message:
            return frozenset()  # an aggregated API without its server
        raise
    return frozenset(resource["name"] for resource in (found or {}).get("resources") or [])
