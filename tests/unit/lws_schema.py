"""A strict check of a LeaderWorkerSet (leaderworkerset.x-k8s.io/v1), from its published types; used by tests alone.

Pod templates are checked elsewhere, as pods.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Check = Callable[[object, str], Iterator[str]]


def violations(value: Mapping[str, Any]) -> list[str]:
    """Each as one sentence: keys that are not known or are missing, and values of a wrong type or out of range."""
    found = list(_object(_TOP, needs=("apiVersion", "kind", "metadata", "spec"))(value, ""))
    if (value.get("apiVersion"), value.get("kind")) != ("leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet"):
        found.append("is not of that kind")
    return found


def _object(fields: Mapping[str, Check], *, needs: tuple[str, ...] = ()) -> Check:
    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path} is no object"
            return
        yield from (f"{path}.{name} is not known" for name in value if name not in fields)
        yield from (f"{path}.{name} is missing" for name in needs if name not in value)
        for name, item in value.items():
            if name in fields:
                yield from fields[name](item, f"{path}.{name}")

    return check


def _whole(least: int) -> Check:
    def check(value: object, path: str) -> Iterator[str]:
        if type(value) is not int or value < least:
            yield f"{path} is no whole number from {least}"

    return check


def _one_of(*words: str) -> Check:
    def check(value: object, path: str) -> Iterator[str]:
        if value not in words:
            yield f"{path} is none of {', '.join(words)}"

    return check


def _count_or_share(value: object, path: str) -> Iterator[str]:
    if type(value) is not int and not (isinstance(value, str) and value.removesuffix("%").isdigit()):
        yield f"{path} is neither a number nor a percentage"


def _any(value: object, path: str) -> Iterator[str]:
    del value, path
    yield from ()


_TEMPLATE = _object({"metadata": _any, "spec": _any}, needs=("spec",))
_GROUP = _object(
    {
        "leaderTemplate": _TEMPLATE,
        "workerTemplate": _TEMPLATE,
        "size": _whole(1),
        "restartPolicy": _one_of("RecreateGroupOnPodRestart", "RecreateGroupAfterStart", "None", "Default"),
        "subGroupPolicy": _object(
            {"subGroupPolicyType": _one_of("LeaderWorker", "LeaderExcluded"), "subGroupSize": _whole(1)}
        ),
        "volumeClaimTemplates": _any,
        "persistentVolumeClaimRetentionPolicy": _any,
    },
    needs=("workerTemplate",),
)
_ROLLING = _object({"partition": _whole(0), "maxUnavailable": _count_or_share, "maxSurge": _count_or_share})
_SPEC = _object(
    {
        "replicas": _whole(0),
        "leaderWorkerTemplate": _GROUP,
        "rolloutStrategy": _object({"type": _one_of("RollingUpdate"), "rollingUpdateConfiguration": _ROLLING}),
        "startupPolicy": _one_of("LeaderCreated", "LeaderReady"),
        "networkConfig": _object({"subdomainPolicy": _one_of("Shared", "UniquePerReplica")}),
    },
    needs=("leaderWorkerTemplate",),
)
_TOP: Mapping[str, Check] = {
    "apiVersion": _one_of("leaderworkerset.x-k8s.io/v1"),
    "kind": _one_of("LeaderWorkerSet"),
    "metadata": _object(
        {"name": _any, "namespace": _any, "labels": _any, "annotations": _any, "ownerReferences": _any}, needs=("name",)
    ),
    "spec": _SPEC,
}
