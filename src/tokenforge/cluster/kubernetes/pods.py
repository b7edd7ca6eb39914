"""What a pod's status says, as a Sighting: its phase, and the cause where something keeps it from serving. Pure.

Kubernetes tells causes in many places (conditions, the waiting and the last state of each container, events); this is
the one reader of them. `code` is a word of ours, the sentence is the cluster's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from tokenforge.cluster.base import Sighting
from tokenforge.cluster.kubernetes.api import refusal_code
from tokenforge.cluster.manifests.names import DEPLOYMENT, FOLLOWER, GROUP_INDEX, ROLE, TEMPLATE
from tokenforge.cluster.manifests.pod import CONTAINER, FETCH_CONTAINER, PORT
from tokenforge.domain.generation import RuntimeInfo
from tokenforge.protocol.worker_spec import WorkerPhase

JsonObject = dict[str, Any]

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_SIGNALS = {137: "was killed by SIGKILL", 143: "was killed by SIGTERM"}
_WORDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cause:
    """Why a container does not do its work. `restarts`: how often it was tried again."""

    code: str
    text: str
    ending: str = ""
    last_words: tuple[str, ...] = ()


def sighting_of(pod: JsonObject, *, info: RuntimeInfo | None, killing: str | None) -> Sighting:
    """The pod as one worker. `info`: what its engine said, once asked; `killing`: what its node said on killing it."""
    meta, status = pod["metadata"], pod.get("status") or {}
    labels = meta.get("labels") or {}
    cause = _cause_of(pod, killing)
    stopping = meta.get("deletionTimestamp")
    return Sighting(
        name=meta["name"],
        labels={"deployment": labels.get(DEPLOYMENT, ""), "template": labels.get(TEMPLATE, "")},
        phase=_phase(pod, info=info, is_stopping=stopping is not None),
        is_alive=status.get("phase") not in ("Failed", "Succeeded"),
        launched_at_s=_seconds(meta.get("creationTimestamp")),
        url=url_of(pod),
        info=info,
        stopping_since_s=None if stopping is None else _asked_s(meta),
        cause=None if cause is None else cause.text,
        code=None if cause is None else cause.code,
        ending="" if cause is None else cause.ending,
        last_words=() if cause is None else cause.last_words,
    )


def serves(pod: JsonObject) -> bool:
    """Whether requests go to it: not to a pod that is a part of another one's engine."""
    return (pod["metadata"].get("labels") or {}).get(ROLE) != FOLLOWER


def with_followers(sighted: Sequence[tuple[JsonObject, Sighting]]) -> tuple[Sighting, ...]:
    """One sighting a replica: what keeps a follower from its work keeps its leader from serving.

    Of a group without a leader its followers are told themselves, so that it is seen to be there until all are gone.
    """
    leaders = {_group(pod): seen for pod, seen in sighted if serves(pod) and _group(pod)}
    told: dict[str, Sighting] = {}
    for pod, seen in sighted:
        group = _group(pod)
        if serves(pod):
            told.setdefault(seen.name, seen)
        elif group not in leaders:
            told[seen.name] = replace(seen, phase=WorkerPhase.DRAINING, stopping_since_s=seen.stopping_since_s or 0.0)
        elif seen.cause is not None and leaders[group].cause is None and leaders[group].phase is not WorkerPhase.READY:
            leader = leaders[group]
            text = f"{seen.name}: {seen.cause}"
            told[leader.name] = replace(leader, cause=text, code=seen.code, last_words=seen.last_words)
    return tuple(told.values())


def _group(pod: JsonObject) -> str:
    return str((pod["metadata"].get("labels") or {}).get(GROUP_INDEX, ""))


def is_ready(pod: JsonObject) -> bool:
    """Whether its node says that it takes requests, and nobody asked for its end."""
    return answers(pod) and "deletionTimestamp" not in pod["metadata"]


def answers(pod: JsonObject) -> bool:
    """Whether its node says that it takes requests, be its end asked for or not."""
    return _conditions(pod).get("Ready", {}).get("status") == "True"


def url_of(pod: JsonObject) -> str:
    """Where its worker listens; empty before it has an address."""
    address = (pod.get("status") or {}).get("podIP", "")
    if not address:
        return ""
    return f"http://[{address}]:{PORT}" if ":" in address else f"http://{address}:{PORT}"


def life_of(pod: JsonObject) -> str:
    """One life of its worker: another after a restart of its container, since another engine may then run there."""
    status = _statuses(pod).get(CONTAINER, {})
    return f"{pod['metadata']['uid']}/{status.get('restartCount', 0)}"


def _phase(pod: JsonObject, *, info: RuntimeInfo | None, is_stopping: bool) -> WorkerPhase:
    status = pod.get("status") or {}
    if is_stopping:
        return WorkerPhase.DRAINING
    if status.get("phase") in ("Failed", "Succeeded"):
        return WorkerPhase.FAILED
    if is_ready(pod) and info is not None:
        return WorkerPhase.READY
    is_running = "running" in _statuses(pod).get(CONTAINER, {}).get("state", {})
    return WorkerPhase.LOADING if is_running else WorkerPhase.STARTING


def _cause_of(pod: JsonObject, killing: str | None) -> _Cause | None:
    status = pod.get("status") or {}
    if status.get("phase") == "Failed":
        text = status.get("message") or status.get("reason") or "the pod failed"
        return _ended(pod) or _Cause(code="pod_failed", text=text, ending=f"was ended ({status.get('reason', '')})")
    scheduled = _conditions(pod).get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return _Cause(code="unschedulable", text=scheduled.get("message") or "no node takes it")
    if is_ready(pod):
        return None
    for name, container in _statuses(pod).items():
        cause = _container_cause(name, container, killing=killing)
        if cause is not None:
            return cause
    return None


def _ended(pod: JsonObject) -> _Cause | None:
    causes = (_container_cause(name, container, killing=None) for name, container in _statuses(pod).items())
    return next((cause for cause in causes if cause is not None), None)


def _container_cause(name: str, container: Mapping[str, Any], *, killing: str | None) -> _Cause | None:
    waiting = container.get("state", {}).get("waiting", {})
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _PULL:
        text = f"image {container.get('image', '')}: {message or reason}"
        return _Cause(code="image_pull_failed", text=text)
    if reason in _CONFIG:
        return _Cause(code="container_refused", text=f"{name}: {message or reason}")
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated")
    if ended and (ended.get("exitCode") != 0 or killing is not None):
        return _termination(name, ended, killing=killing)
    is_up = "running" in container.get("state", {})
    if name == CONTAINER and is_up and container.get("started") and not container.get("ready"):
        return _Cause(code="probe_failed", text="the worker does not answer its readiness probe any more")
    return None


def _termination(name: str, ended: Mapping[str, Any], *, killing: str | None) -> _Cause:
    code = int(ended.get("exitCode", 0))
    words = tuple(line for line in str(ended.get("message", "")).splitlines() if line.strip())[-_WORDS:]
    ending = _SIGNALS.get(code, f"exited with status {code}")
    if ended.get("reason") == "OOMKilled":
        return _Cause(
            code="out_of_memory", text=f"{name} took more memory than its limit", ending=ending, last_words=words
        )
    if killing is not None:
        return _Cause(code="probe_failed", text=killing, ending=ending, last_words=words)
    is_fetch = name == FETCH_CONTAINER
    text = ("fetching the model " if is_fetch else f"{name} ") + ending + (f": {words[-1].strip()}" if words else "")
    word = "model_not_fetched" if is_fetch else "crashed"
    return _Cause(code=word, text=text, ending=ending, last_words=words)


def workload_cause(workload: JsonObject) -> tuple[str, str] | None:
    """The code and sentence of what keeps the cluster from making pods; None where nothing does."""
    conditions = _conditions(workload)
    failure = conditions.get("ReplicaFailure", {})
    if failure.get("status") == "True":
        message = str(failure.get("message", ""))
        return refusal_code(403, message), message
    return None


def _conditions(value: JsonObject) -> dict[str, Mapping[str, Any]]:
    listed = (value.get("status") or {}).get("conditions") or []
    return {condition["type"]: condition for condition in listed}


def _statuses(pod: JsonObject) -> dict[str, Mapping[str, Any]]:
    """Status of each container by its name, those that come first in a pod's life first."""
    status = pod.get("status") or {}
    listed = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return {container["name"]: container for container in listed}


def _asked_s(meta: Mapping[str, Any]) -> float:
    """When its end was asked for: the deletion stamp is when it must be over."""
    return _seconds(meta["deletionTimestamp"]) - float(meta.get("deletionGracePeriodSeconds") or 0)


def _seconds(text: str | None) -> float:
    return 0.0 if text is None else datetime.fromisoformat(text).timestamp()
