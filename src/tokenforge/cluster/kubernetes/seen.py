"""What objects of a cluster say together: sorted by deployment, their generation, why pods are refused. Pure."""

from collections.abc import Iterable
from typing import Any

from tokenforge.cluster.kubernetes.api import refusal_code
from tokenforge.cluster.manifests.names import DEPLOYMENT, DIGEST, GENERATION, TEMPLATE
from tokenforge.cluster.manifests.objects import DeploymentObjects
from tokenforge.domain.deployment import Deployment, DeploymentId

JsonObject = dict[str, Any]


def generation(workload: JsonObject) -> int:
    return int((workload["metadata"].get("annotations") or {}).get(GENERATION, "0"))


def template(workload: JsonObject) -> str:
    """What its pods are labelled with."""
    spec = workload["spec"]
    pods = spec["template"] if "template" in spec else spec["leaderWorkerTemplate"]["leaderTemplate"]
    return str(pods["metadata"]["labels"].get(TEMPLATE, ""))


def is_as_wanted(live: JsonObject | None, objects: DeploymentObjects, deployment: Deployment) -> bool:
    if live is None:
        return False
    notes = live["metadata"].get("annotations") or {}
    return (notes.get(DIGEST), notes.get(GENERATION)) == (objects.digest, str(deployment.generation))


def by_deployment(values: Iterable[JsonObject]) -> dict[DeploymentId, list[JsonObject]]:
    sorted_out: dict[DeploymentId, list[JsonObject]] = {}
    for value in values:
        identity = (value["metadata"].get("labels") or {}).get(DEPLOYMENT, "")
        if identity:
            sorted_out.setdefault(DeploymentId(identity), []).append(value)
    return sorted_out


def _told_at(event: JsonObject) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def killings(events: Iterable[JsonObject]) -> dict[str, str]:
    """What a node last said when it killed a container for its probe, by the pod's uid."""
    said: dict[str, str] = {}
    for event in sorted(events, key=_told_at):
        if "probe" in str(event.get("message", "")):
            said[event["involvedObject"].get("uid", "")] = str(event["message"])
    return said


def refusal_of(workload: JsonObject, pods: list[JsonObject], events: Iterable[JsonObject]) -> tuple[str, str] | None:
    """Why pods of groups are not made: their controllers say it in events alone."""
    spec, name = workload["spec"], workload["metadata"]["name"]
    groups = spec.get("leaderWorkerTemplate")
    if groups is None or len(pods) >= spec.get("replicas", 1) * groups["size"]:
        return None
    told = [event for event in events if f"{event['involvedObject']['name']}-".startswith(f"{name}-")]
    if not told:
        return None
    message = str(max(told, key=_told_at).get("message", ""))
    return refusal_code(403, message), message
