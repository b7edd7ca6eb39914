"""One engine on several nodes: how it is split, and the LeaderWorkerSet that keeps such groups of pods. Pure.

Facts of the kind (leaderworkerset.x-k8s.io/v1): its API's types at github.com/kubernetes-sigs/lws.
"""

from dataclasses import dataclass, replace
from typing import Any

from tokenforge.cluster.manifests.site import Site
from tokenforge.domain.deployment import DeploymentSpec
from tokenforge.domain.errors import Fault

JsonObject = dict[str, Any]

KIND = "LeaderWorkerSet"
VERSION = "leaderworkerset.x-k8s.io/v1"
LEADERS = {"leaderworkerset.sigs.k8s.io/worker-index": "0"}
"""A label that the controller gives to the first pod of each group."""

SPANNING = ("vllm",)
"""Runtimes that run one engine on several nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How one engine lies on `nodes`; `tensor_parallel` 0: as its deployment says."""

    nodes: int = 1
    tensor_parallel: int = 0
    pipeline_parallel: int = 1


def split_of(spec: DeploymentSpec, site: Site) -> Split:
    """More GPUs than a node has: tensors are split within a node unless the deployment says so, layers across."""
    gpus = spec.resources.gpu
    if gpus <= site.gpus_per_node:
        return Split()
    tensor = spec.tensor_parallel or site.gpus_per_node
    return Split(nodes=gpus // site.gpus_per_node, tensor_parallel=tensor, pipeline_parallel=max(1, gpus // tensor))


def part_of(spec: DeploymentSpec, split: Split) -> DeploymentSpec:
    """What one pod of the group asks of its node."""
    return replace(spec, resources=replace(spec.resources, gpu=spec.resources.gpu // split.nodes))


def split_faults(spec: DeploymentSpec, site: Site) -> list[Fault]:
    """Why its GPUs cannot lie on several nodes; nothing for those that fit on one."""
    gpus, each = spec.resources.gpu, site.gpus_per_node
    if gpus <= each:
        return []
    if spec.runtime.name not in SPANNING:
        hint = f"up to {each}: an engine of {spec.runtime.name} runs on one node"
        return [Fault(field="resources.gpu", value=gpus, message="is too many", hint=hint)]
    if gpus % each:
        hint = f"a multiple of {each}, what a node has, or up to {each}"
        return [Fault(field="resources.gpu", value=gpus, message="does not fill its nodes", hint=hint)]
    tensor = spec.tensor_parallel
    if tensor is not None and gpus % tensor:
        hint = f"a divisor of {gpus}; the layers are split by the rest"
        return [Fault(field="tensor_parallel", value=tensor, message="does not divide the GPUs", hint=hint)]
    return []


def absent_fault(spec: DeploymentSpec, site: Site, split: Split) -> Fault:
    """Said where the cluster lacks the kind."""
    hint = f"install LeaderWorkerSet (lws.sigs.k8s.io) on the cluster, or ask for up to {site.gpus_per_node}"
    message = f"spans {split.nodes} nodes, and this cluster has no LeaderWorkerSet"
    return Fault(field="resources.gpu", value=spec.resources.gpu, message=message, hint=hint)


def group_set(leader: JsonObject, follower: JsonObject, *, split: Split, replicas: int | None) -> JsonObject:
    """Groups that are replaced one by one, a new one first. A pod that restarts restarts its group: its engine is one.

    `replicas` None: an autoscaler owns the number.
    """
    return {
        "apiVersion": VERSION,
        "kind": KIND,
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "startupPolicy": "LeaderCreated",
            "rolloutStrategy": {
                "type": "RollingUpdate",
                "rollingUpdateConfiguration": {"maxUnavailable": 0, "maxSurge": 1},
            },
            "leaderWorkerTemplate": {
                "size": split.nodes,
                "restartPolicy": "RecreateGroupOnPodRestart",
                "leaderTemplate": leader,
                "workerTemplate": follower,
            },
        },
    }
