"""All objects of a deployment, as plain data. Pure: the same deployment, site and features give the same bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenforge.cluster.manifests.around import autoscaler, disruption_budget, network_policy, pod_monitor, service
from tokenforge.cluster.manifests.group import LEADERS, absent_fault, group_set, part_of, split_faults, split_of
from tokenforge.cluster.manifests.names import (
    DEPLOYMENT,
    DIGEST,
    GENERATION,
    SCALED_BY,
    TEMPLATE,
    labels,
    object_name,
)
from tokenforge.cluster.manifests.pod import HOME, follower_template, pod_template
from tokenforge.cluster.manifests.site import CacheKind, Features, Site, progress_limit_s
from tokenforge.domain.benchmark import hide_secrets
from tokenforge.domain.canonical import sha256_hex
from tokenforge.domain.deployment import Deployment, DeploymentSpec
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.model import ModelSource

JsonObject = dict[str, Any]

_DIGEST_LETTERS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentObjects:
    """A deployment as objects: the workload that owns all others, and those around it.

    `template` names what its pods are made from, `digest` all of it.
    """

    workload: JsonObject
    around: tuple[JsonObject, ...]
    template: str
    digest: str

    @property
    def all(self) -> tuple[JsonObject, ...]:
        """The workload first."""
        return (self.workload, *self.around)


def objects_of(deployment: Deployment, *, site: Site, features: Features, model_bytes: int | None) -> DeploymentObjects:
    """What is to be there. `model_bytes` None: not known here. Raises InvalidInput with every fault of the spec."""
    spec = deployment.spec
    faults = faults_of(spec, site)
    if faults:
        raise InvalidInput(faults, source=f"deployment {spec.name}")
    name = object_name(deployment)
    own = labels(deployment.id, instance=site.instance)
    selects = {DEPLOYMENT: own[DEPLOYMENT]}
    split = split_of(spec, site)
    if split.nodes > 1 and not features.has_leader_worker_set:
        raise InvalidInput([absent_fault(spec, site, split)], source=f"deployment {spec.name}")
    pods = pod_template(part_of(spec, split), site, labels=selects, model_bytes=model_bytes, split=split)
    template = sha256_hex([pods, spec.template])[:_DIGEST_LETTERS]
    pods["metadata"]["labels"] = {**own, TEMPLATE: template}
    is_scaled = scales_itself(spec, features)
    replicas = None if is_scaled else deployment.wanted  # who scales owns the field
    if split.nodes > 1:
        workload = group_set(pods, follower_template(pods), split=split, replicas=replicas)
    else:
        workload = _single(pods, selects, replicas=replicas, limit_s=progress_limit_s(model_bytes, site.pace))
    serving = {**selects, **(LEADERS if split.nodes > 1 else {})}
    around = [service(serving), disruption_budget(selects, features)]
    around.append(network_policy(spec, site, selects, is_group=split.nodes > 1))
    if features.has_pod_monitor:
        around.append(pod_monitor(serving))
    if is_scaled and spec.autoscale is not None:
        target = {"apiVersion": workload["apiVersion"], "kind": workload["kind"], "name": name}
        around.append(autoscaler(spec.autoscale, target=target, metric=site.autoscale_metric, features=features))
    objects = [_named(value, name=name, namespace=site.namespace, own=own) for value in (workload, *around)]
    digest = sha256_hex(objects)[:_DIGEST_LETTERS]
    head = objects[0]
    scaled_by = {SCALED_BY: site.autoscale_metric} if is_scaled else {}
    head["metadata"]["annotations"] = {GENERATION: str(deployment.generation), DIGEST: digest, **scaled_by}
    return DeploymentObjects(workload=head, around=tuple(objects[1:]), template=template, digest=digest)


def _single(pods: JsonObject, selects: Mapping[str, str], *, replicas: int | None, limit_s: int) -> JsonObject:
    """The workload of replicas that are one pod each."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": dict(selects)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "progressDeadlineSeconds": limit_s,
            "revisionHistoryLimit": 2,
            "template": pods,
        },
    }


def scales_itself(spec: DeploymentSpec, features: Features) -> bool:
    """Whether the cluster's own autoscaler can do what is asked: its metric is there, it keeps one replica at least,
    and it knows no times to the first token. Else control scales, by what gateways report."""
    rule = spec.autoscale
    return rule is not None and features.has_autoscale_metric and rule.min > 0 and rule.ttft_ms is None


def owned(value: JsonObject, *, owner: JsonObject) -> JsonObject:
    """The object, owned by the workload as the API server answered it, so that it ends with it."""
    meta = owner["metadata"]
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {**value, "metadata": {**value["metadata"], "ownerReferences": [reference]}}


def faults_of(spec: DeploymentSpec, site: Site) -> list[Fault]:
    """What of a deployment cannot be on this cluster."""
    return [*_secret_faults(spec, site), *_place_faults(spec, site)]


def _secret_faults(spec: DeploymentSpec, site: Site) -> list[Fault]:
    shown = hide_secrets(spec.engine_args)
    hint = "keep it in the Secret of the site's `env` and name it in env; a pod's arguments can be read by many"
    faults = [
        Fault(field=f"engine_args.{name}", value="(hidden)", message="is a secret", hint=hint)
        for name, value in spec.engine_args.items()
        if shown[name] != value
    ]
    if spec.env and site.env is None:
        hint = "name a Secret as `env` in the site's settings"
        faults.append(Fault(field="env", value=list(spec.env), message="has no Secret to come from here", hint=hint))
    return faults


def _place_faults(spec: DeploymentSpec, site: Site) -> list[Fault]:
    faults = split_faults(spec, site)
    if spec.model.source is ModelSource.FOLDER:
        inside = spec.model.name.startswith(f"{HOME}/") and ".." not in spec.model.name.split("/")
        if not inside or site.cache.kind is CacheKind.EPHEMERAL:
            hint = f"put it on the site's cache volume and write {HOME}/FOLDER, or take a hub id"
            faults.append(Fault(field="model", value=spec.model.name, message="is no folder of a pod", hint=hint))
    return faults


def _named(value: JsonObject, *, name: str, namespace: str, own: dict[str, str]) -> JsonObject:
    meta = {"name": name, "namespace": namespace, "labels": own}
    return {"apiVersion": value["apiVersion"], "kind": value["kind"], "metadata": meta, "spec": value["spec"]}
