"""The pod of one replica: fetch the model, then serve it; as little right and as little surprise as can be.

A first container fetches the model into the cache and alone has the hub's token, so a download has no probe that could
kill it and an engine no secret that it does not need. The root is read-only: HOME and everything that libraries cache
lie on volumes. The last lines of a log become the container's last word, for whoever asks why it ended.
"""

import math
from collections.abc import Mapping
from typing import Any

from tokenforge import __version__
from tokenforge.cluster.manifests.group import Split
from tokenforge.cluster.manifests.names import FOLLOWER, ROLE
from tokenforge.cluster.manifests.security import container_security, pod_security
from tokenforge.cluster.manifests.site import CacheKind, Site, grace_s, startup_budget_s
from tokenforge.domain.deployment import DeploymentSpec
from tokenforge.domain.model import ModelSource
from tokenforge.domain.runtime import Accelerator
from tokenforge.domain.worker import ReplicaSpec
from tokenforge.protocol.worker_spec import replica_spec_to_json

JsonObject = dict[str, Any]

PORT = 8000
CONTAINER = "worker"
FETCH_CONTAINER = "model"
HOME = "/var/lib/tokenforge"
SCRATCH = "/tmp"
_GIB = 1 << 30
_STARTUP_PERIOD_S = 5
_PROBE_LIMIT_S = 5


def pod_template(
    spec: DeploymentSpec, site: Site, *, labels: Mapping[str, str], model_bytes: int | None, split: Split
) -> JsonObject:
    """The template of a workload. `labels` are those that select its pods; `split` is how an engine lies on nodes."""
    accelerator = accelerator_of(spec)
    return {
        "metadata": {"labels": dict(labels), "annotations": _scrape_hint()},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": pod_security(),
            "terminationGracePeriodSeconds": grace_s(site.pace),
            "initContainers": [_fetch(spec, site, model_bytes=model_bytes, split=split)],
            "containers": [_serve(spec, site, model_bytes=model_bytes, split=split)],
            "volumes": _volumes(spec, site, model_bytes=model_bytes),
            "topologySpreadConstraints": _spread(labels, is_group=split.nodes > 1),
            **_placing(spec, site, accelerator),
        },
    }


def follower_template(template: JsonObject) -> JsonObject:
    """The template of a group's other pods, made from that of its leader: parts of its engine, which serve nothing.

    They have no probes, since they answer no requests: one that ends is seen by its end, and the whole group begins
    anew. They leave when their leader does, which drains.
    """
    (leader,) = template["spec"]["containers"]
    *program, _, text = leader["command"]
    left_out = ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "ports")
    follower = {name: value for name, value in leader.items() if name not in left_out}
    follower["command"] = [*program, "follow", text]
    labels = {**template["metadata"]["labels"], ROLE: FOLLOWER}
    return {"metadata": {"labels": labels}, "spec": {**template["spec"], "containers": [follower]}}


def accelerator_of(spec: DeploymentSpec) -> Accelerator:
    """What its engine computes on: GPUs where it asks for some."""
    return Accelerator.CUDA if spec.resources.gpu else Accelerator.CPU


def memory_bytes(spec: DeploymentSpec, *, model_bytes: int | None) -> int:
    """The memory of one pod: as asked, else a base for the engine and the weights with some air."""
    if spec.resources.memory_bytes is not None:
        return spec.resources.memory_bytes
    weights = 8 * _GIB if model_bytes is None else model_bytes
    return _mebibytes(2 * _GIB + 1.25 * weights + _shm_bytes(spec))


def _serve(spec: DeploymentSpec, site: Site, *, model_bytes: int | None, split: Split) -> JsonObject:
    budget_s = startup_budget_s(model_bytes, site.pace)
    return {
        **_container(CONTAINER, spec, site, action="serve", split=split),
        "env": [*_environment(offline=True), *_secrets(spec, site)],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "resources": _resources(spec, site, model_bytes=model_bytes),
        "startupProbe": _probe("ready", period_s=_STARTUP_PERIOD_S, failures=math.ceil(budget_s / _STARTUP_PERIOD_S)),
        "readinessProbe": _probe("ready", period_s=2, failures=3),
        "livenessProbe": _probe("live", period_s=10, failures=6),
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", f"{math.ceil(site.pace.leave_s)}"]}}},
        "volumeMounts": [*_mounts(is_read_only=_is_shared(site)), {"name": "shm", "mountPath": "/dev/shm"}],
    }


def _fetch(spec: DeploymentSpec, site: Site, *, model_bytes: int | None, split: Split) -> JsonObject:
    token: list[JsonObject] = []
    if site.hub_token is not None and spec.model.source is ModelSource.HUB:
        reference = {"secretKeyRef": {"name": site.hub_token, "key": "token"}}
        token = [{"name": "HF_TOKEN", "valueFrom": reference}]
    disk = {"ephemeral-storage": _disk_text(site, model_bytes=model_bytes)}
    most_bytes = memory_bytes(spec, model_bytes=model_bytes)
    return {
        **_container(FETCH_CONTAINER, spec, site, action="prepare", split=split),
        "env": [*_environment(offline=site.hub_offline), *token],
        "resources": {
            "requests": {"cpu": "250m", "memory": _bytes_text(min(_GIB // 2, most_bytes)), **disk},
            "limits": {"memory": _bytes_text(most_bytes), **disk},
        },
        "volumeMounts": _mounts(is_read_only=False),
    }


def _container(name: str, spec: DeploymentSpec, site: Site, *, action: str, split: Split) -> JsonObject:
    accelerator = accelerator_of(spec)
    replica = ReplicaSpec(
        model=spec.model,
        runtime=spec.runtime,
        port=PORT,
        accelerator=accelerator,
        max_model_len=spec.max_model_len,
        quant=spec.quant,
        tensor_parallel=split.tensor_parallel or spec.tensor_parallel or max(1, spec.resources.gpu),
        pipeline_parallel=split.pipeline_parallel,
        nodes=split.nodes,
        engine_args=spec.engine_args,
        drain_s=site.pace.drain_s,
    )
    return {
        "name": name,
        "image": site.image_of(spec.runtime, accelerator=accelerator, version=__version__),
        "command": ["tokenforge", "replica", action, replica_spec_to_json(replica)],
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _probe(what: str, *, period_s: int, failures: int) -> JsonObject:
    return {
        "httpGet": {"path": f"/health/{what}", "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": _PROBE_LIMIT_S,
        "failureThreshold": failures,
    }


def _environment(*, offline: bool) -> list[JsonObject]:
    values = {
        "HOME": SCRATCH,
        "XDG_CACHE_HOME": f"{SCRATCH}/cache",
        "TMPDIR": SCRATCH,
        "TOKENFORGE_HOME": HOME,
        "HF_HOME": f"{HOME}/hub",
        "HF_HUB_OFFLINE": "1" if offline else "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return [{"name": name, "value": value} for name, value in values.items()]


def _secrets(spec: DeploymentSpec, site: Site) -> list[JsonObject]:
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": site.env or "", "key": name}}}
        for name in sorted(spec.env)
    ]


def _resources(spec: DeploymentSpec, site: Site, *, model_bytes: int | None) -> JsonObject:
    memory = _bytes_text(memory_bytes(spec, model_bytes=model_bytes))
    fixed = {"memory": memory, "ephemeral-storage": _disk_text(site, model_bytes=model_bytes)}
    if spec.resources.gpu:
        fixed[site.gpu_resource] = str(spec.resources.gpu)
    cpu = 1.0 if spec.resources.cpu is None else spec.resources.cpu
    limits = dict(fixed) if spec.resources.cpu is None else {"cpu": _cpu_text(cpu), **fixed}
    return {"requests": {"cpu": _cpu_text(cpu), **fixed}, "limits": limits}


def _volumes(spec: DeploymentSpec, site: Site, *, model_bytes: int | None) -> list[JsonObject]:
    cache: JsonObject = {"emptyDir": {"sizeLimit": _disk_text(site, model_bytes=model_bytes)}}
    if site.cache.kind is CacheKind.CLAIM:
        cache = {"persistentVolumeClaim": {"claimName": site.cache.name}}
    elif site.cache.kind is CacheKind.HOST_PATH:
        cache = {"hostPath": {"path": site.cache.name, "type": "DirectoryOrCreate"}}
    return [
        {"name": "cache", **cache},
        {"name": "scratch", "emptyDir": {"sizeLimit": "4Gi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": _bytes_text(_shm_bytes(spec))}},
    ]


def _mounts(*, is_read_only: bool) -> list[JsonObject]:
    cache: JsonObject = {"name": "cache", "mountPath": HOME}
    if is_read_only:
        cache["readOnly"] = True
    return [cache, {"name": "scratch", "mountPath": SCRATCH}]


def _is_shared(site: Site) -> bool:
    """An engine must not write where other pods read."""
    return site.cache.kind is not CacheKind.EPHEMERAL


def _placing(spec: DeploymentSpec, site: Site, accelerator: Accelerator) -> JsonObject:
    """Where it may run; only what is needed is said."""
    tolerations: list[Mapping[str, object]] = list(spec.tolerations)
    selector = dict(spec.node_selector)
    if accelerator is Accelerator.CUDA:
        tolerations.append({"key": site.gpu_resource, "operator": "Exists", "effect": "NoSchedule"})
        if spec.resources.gpu_type is not None:
            selector.setdefault(site.gpu_type_label, spec.resources.gpu_type)
    placing: JsonObject = {}
    if selector:
        placing["nodeSelector"] = selector
    if tolerations:
        placing["tolerations"] = [dict(toleration) for toleration in tolerations]
    if site.image_pull_secrets:
        placing["imagePullSecrets"] = [{"name": name} for name in site.image_pull_secrets]
    if site.runtime_class is not None:
        placing["runtimeClassName"] = site.runtime_class
    if site.priority_class is not None:
        placing["priorityClassName"] = site.priority_class
    return placing


def _spread(labels: Mapping[str, str], *, is_group: bool) -> list[JsonObject]:
    """Replicas apart from each other, where that can be had; parts of one engine on several nodes, but in one zone."""
    keys = ("kubernetes.io/hostname",) if is_group else ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(labels)},
        }
        for key in keys
    ]


def _scrape_hint() -> dict[str, str]:
    """What a Prometheus without an operator goes by, by convention."""
    return {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT), "prometheus.io/path": "/metrics"}


def _shm_bytes(spec: DeploymentSpec) -> int:
    """Shared memory for the processes of one engine; it counts as memory of the pod."""
    return 2 * _GIB * max(1, spec.resources.gpu) if spec.resources.gpu else _GIB // 4


def _disk_text(site: Site, *, model_bytes: int | None) -> str:
    """Disk of the node: for logs and scratch, and for the model where its cache is there."""
    model = 64 * _GIB if model_bytes is None else model_bytes
    return _bytes_text(6 * _GIB + (1.1 * model if site.cache.kind is CacheKind.EPHEMERAL else 0))


def _mebibytes(size_bytes: float) -> int:
    return math.ceil(size_bytes / (1 << 20)) << 20


def _bytes_text(size_bytes: float) -> str:
    return f"{_mebibytes(size_bytes) >> 20}Mi"


def _cpu_text(cores: float) -> str:
    thousandths = math.ceil(cores * 1000)
    return f"{thousandths}m" if thousandths % 1000 else f"{thousandths // 1000}"
