"""The load of one trial as an Indexed Job: a pod for each share of the plan, each with a number of its own."""

from collections.abc import Mapping
from typing import Any

from tokenforge import __version__
from tokenforge.cluster.manifests.names import COMPONENT, INSTANCE, MANAGED_BY
from tokenforge.cluster.manifests.security import container_security, pod_security
from tokenforge.cluster.manifests.site import Site

JsonObject = dict[str, Any]

JOB = "tokenforge/job"
CONTAINER = "driver"
SCRATCH = "/tmp"
INDEX = "JOB_COMPLETION_INDEX"
"""The variable in which the Job controller tells a pod its number."""

_KEPT_S = 600
_GRACE_S = 15


def driver_labels(site: Site) -> dict[str, str]:
    """What all pods and Jobs of drivers have; the policies of workers and of the namespace know them by it."""
    return {INSTANCE: site.instance, COMPONENT: "bench", MANAGED_BY: "tokenforge"}


def driver_job(name: str, *, pods: int, limit_s: int, site: Site) -> JsonObject:
    """`limit_s`: after so long the cluster ends it, whoever is still there. A pod that fails is not tried again:
    a share that was begun is never offered a second time."""
    labels = {**driver_labels(site), JOB: name}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": site.namespace, "labels": labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": pods,
            "parallelism": pods,
            "backoffLimit": 0,
            "activeDeadlineSeconds": limit_s,
            "ttlSecondsAfterFinished": _KEPT_S,
            "template": {"metadata": {"labels": labels}, "spec": _pod(name, labels=labels, site=site)},
        },
    }


def _pod(name: str, *, labels: Mapping[str, str], site: Site) -> JsonObject:
    drivers = site.drivers
    placing: JsonObject = {}
    if drivers.node_selector:
        placing["nodeSelector"] = dict(drivers.node_selector)
    if drivers.tolerations:
        placing["tolerations"] = [dict(toleration) for toleration in drivers.tolerations]
    if site.image_pull_secrets:
        placing["imagePullSecrets"] = [{"name": secret} for secret in site.image_pull_secrets]
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": _GRACE_S,
        "affinity": {"podAntiAffinity": _apart(site)},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(labels)},
            }
        ],
        "containers": [_container(name, site)],
        "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "8Gi"}}],
        **placing,
    }


def _container(name: str, site: Site) -> JsonObject:
    resources = {"cpu": site.drivers.cpu, "memory": site.drivers.memory, "ephemeral-storage": "8Gi"}
    return {
        "name": CONTAINER,
        "image": site.drivers.image.replace("{version}", __version__),
        "command": ["tokenforge", "driver-pod", name],
        "env": [*_own(), *_secrets(site)],
        "resources": {"requests": resources, "limits": dict(resources)},
        "securityContext": container_security(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
    }


def _own() -> list[JsonObject]:
    """Folders it may write to, and who it is. Its number comes from the Job controller."""
    told = {"HOME": SCRATCH, "TMPDIR": SCRATCH, "TOKENFORGE_HOME": f"{SCRATCH}/home", "PYTHONDONTWRITEBYTECODE": "1"}
    fields = {"POD_NAME": "metadata.name", "POD_UID": "metadata.uid", "NODE_NAME": "spec.nodeName"}
    return [
        *({"name": name, "value": value} for name, value in told.items()),
        *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()),
    ]


def _secrets(site: Site) -> list[JsonObject]:
    keys = {
        "TOKENFORGE_ARTIFACTS_URL": "url",
        "AWS_ACCESS_KEY_ID": "access_key_id",
        "AWS_SECRET_ACCESS_KEY": "secret_access_key",
    }
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": site.artifacts, "key": key, "optional": key != "url"}}}
        for name, key in keys.items()
    ]


def _apart(site: Site) -> JsonObject:
    """Not beside an engine, where that can be had: it would take the time of the one it measures."""
    workers = {"matchLabels": {INSTANCE: site.instance, COMPONENT: "worker"}}
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": workers}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}
