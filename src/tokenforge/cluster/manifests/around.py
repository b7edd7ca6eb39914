"""What stands around the pods: their address, who may reach them, how many may leave at once, who measures them."""

from collections.abc import Mapping
from typing import Any

from tokenforge.cluster.manifests.names import COMPONENT, INSTANCE
from tokenforge.cluster.manifests.pod import PORT
from tokenforge.cluster.manifests.site import Features, Site
from tokenforge.domain.deployment import Autoscale, DeploymentSpec
from tokenforge.domain.model import ModelSource

JsonObject = dict[str, Any]

POLICY_KINDS = ("policy/v1", "policy/v1beta1")
_DNS = 53
_HTTPS = 443


def service(selects: Mapping[str, str]) -> JsonObject:
    """One address for whoever in the cluster asks this deployment itself."""
    port = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": "http"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "spec": {"type": "ClusterIP", "selector": dict(selects), "ports": [port]},
    }


def disruption_budget(selects: Mapping[str, str], features: Features) -> JsonObject:
    """Nodes are drained one replica at a time; a lone replica may be moved, or its node could never be.

    One that does not serve may always go: a crash loop must not keep a node from being drained.
    """
    spec: JsonObject = {"maxUnavailable": 1, "selector": {"matchLabels": dict(selects)}}
    if features.has_policy_v1 and features.has_unhealthy_eviction:
        spec["unhealthyPodEvictionPolicy"] = "AlwaysAllow"
    version = POLICY_KINDS[0 if features.has_policy_v1 else 1]
    return {"apiVersion": version, "kind": "PodDisruptionBudget", "spec": spec}


def network_policy(
    spec: DeploymentSpec, site: Site, selects: Mapping[str, str], *, is_group: bool = False
) -> JsonObject:
    """Only this platform's own processes, and monitoring, reach a replica; it reaches names, and the hub if it must.

    Pods of an engine on several nodes reach each other too, at any port.
    """
    own = [
        {"podSelector": {"matchLabels": {INSTANCE: site.instance, COMPONENT: component}}}
        for component in ("gateway", "control", "bench")
    ]
    peers: list[JsonObject] = list(own)
    if site.monitoring_namespace is not None:
        name = {"kubernetes.io/metadata.name": site.monitoring_namespace}
        peers.append({"namespaceSelector": {"matchLabels": name}})
    peers += [{"ipBlock": {"cidr": cidr}} for cidr in site.allowed_from]
    egress: list[JsonObject] = [{"ports": [{"protocol": "UDP", "port": _DNS}, {"protocol": "TCP", "port": _DNS}]}]
    if spec.model.source is ModelSource.HUB and not site.hub_offline:
        egress.append({"ports": [{"protocol": "TCP", "port": _HTTPS}]})
    ingress: list[JsonObject] = [{"from": peers, "ports": [{"protocol": "TCP", "port": PORT}]}]
    if is_group:
        each_other = [{"podSelector": {"matchLabels": dict(selects)}}]
        ingress.append({"from": each_other})
        egress.append({"to": each_other})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "spec": {
            "podSelector": {"matchLabels": dict(selects)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }


def pod_monitor(selects: Mapping[str, str]) -> JsonObject:
    """For the Prometheus operator."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "spec": {
            "selector": {"matchLabels": dict(selects)},
            "podMetricsEndpoints": [{"port": "http", "path": "/metrics", "interval": "5s"}],
            "podTargetLabels": ["tokenforge/deployment"],
        },
    }


def autoscaler_of(workload: JsonObject, features: Features) -> JsonObject:
    """What names the autoscaler of a workload: enough to end it."""
    return {"apiVersion": _autoscaling(features), "kind": "HorizontalPodAutoscaler", "metadata": workload["metadata"]}


def _autoscaling(features: Features) -> str:
    return f"autoscaling/{'v2' if features.has_autoscaling_v2 else 'v2beta2'}"


def autoscaler(autoscale: Autoscale, *, target: Mapping[str, str], metric: str, features: Features) -> JsonObject:
    """Replicas by the mean of a metric over pods; down slowly, since a replica is dear to start."""
    average = str(round(autoscale.target * 1000)) + "m"
    source = {"metric": {"name": metric}, "target": {"type": "AverageValue", "averageValue": average}}
    return {
        "apiVersion": _autoscaling(features),
        "kind": "HorizontalPodAutoscaler",
        "spec": {
            "scaleTargetRef": dict(target),
            "minReplicas": autoscale.min,
            "maxReplicas": autoscale.max,
            "metrics": [{"type": "Pods", "pods": source}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": min(3600, round(autoscale.down_after_s))}},
        },
    }
