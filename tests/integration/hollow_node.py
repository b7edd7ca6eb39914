"""A node without containers, for any API server, real or twin: it says of pods what a kubelet would say.

What becomes of a pod's worker is in its own engine arguments: `fate`, or any that no engine knows (it crashes).
Addresses are of the loopback net, one a pod.
"""

import asyncio
import enum
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from kube_store import now_text

from tokenforge.cluster.kubernetes.api import Api
from tokenforge.cluster.kubernetes.pods import is_ready
from tokenforge.domain.errors import ClusterRefused, ClusterUnreachable

JsonObject = dict[str, Any]
TICK_S = 0.05


class Fate(enum.Enum):
    """What becomes of a pod's worker."""

    SERVES = "serves"
    LOADS = "loads for ever"
    NO_IMAGE = "its image is not to be had"
    NO_SECRET = "a Secret is missing"
    FETCH_FAILS = "its model cannot be fetched"
    CRASHES = "its process ends with an error"
    OUT_OF_MEMORY = "the kernel kills it"
    PROBE = "it never answers its startup probe"


def _roomy() -> dict[str, str]:
    return {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1000Gi", "pods": "500"}


@dataclass(slots=True, kw_only=True)
class HollowNode:
    """`leave_s`: how long a pod takes to end. `on_start` and `on_end` are called for pods that serve."""

    api: Api
    namespace: str
    name: str = "hollow-1"
    labels: dict[str, str] = field(default_factory=dict)
    allocatable: dict[str, str] = field(default_factory=_roomy)
    leave_s: float = 0.1
    on_start: Callable[[JsonObject, str], Awaitable[None]] | None = None
    on_end: Callable[[str], Awaitable[None]] | None = None
    _addresses: dict[str, str] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(2))
    _leaving: dict[str, float] = field(default_factory=dict)
    _said: dict[str, Fate] = field(default_factory=dict)

    async def register(self) -> None:
        """Be there, and ready."""
        path = f"/api/v1/nodes/{self.name}"
        meta = {"name": self.name, "labels": {"hollow": self.name, **self.labels}}
        await self._call("PATCH", path, {"apiVersion": "v1", "kind": "Node", "metadata": meta}, kind=_APPLY)
        await self.beat()

    async def beat(self) -> None:
        """Say that it is well, as a kubelet does every few seconds."""
        now = now_text()
        ready = {
            "type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }  # fmt: skip
        status = {"capacity": self.allocatable, "allocatable": self.allocatable, "conditions": [ready]}
        await self._call("PATCH", f"/api/v1/nodes/{self.name}/status", {"status": status}, kind=_MERGE)

    async def run(self) -> None:
        """Look at its pods again and again, until cancelled."""
        for turn in itertools.count(1):
            try:
                if turn % 100 == 0:
                    await self.beat()
                for pod in await self.pods():
                    await self._care(pod)
            except (ClusterUnreachable, ClusterRefused):
                pass  # the server is away, or the pod is gone meanwhile
            await asyncio.sleep(TICK_S)

    async def pods(self) -> list[JsonObject]:
        """Those that were bound to it."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        return (await self.api.list(path, params={"fieldSelector": f"spec.nodeName={self.name}"}))[0]

    async def _care(self, pod: JsonObject) -> None:
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{self.namespace}/pods/{meta['name']}"
        if "deletionTimestamp" in meta:
            since = self._leaving.setdefault(meta["uid"], asyncio.get_running_loop().time())
            if asyncio.get_running_loop().time() - since >= self.leave_s:
                if self.on_end is not None:
                    await self.on_end(meta["uid"])
                await self._call("DELETE", path, {"gracePeriodSeconds": 0})
            return
        address = self._addresses.get(meta["uid"])
        if address is None:
            address = self._addresses[meta["uid"]] = f"127.0.1.{next(self._numbers) % 250 + 2}"
            if self.on_start is not None and fate_of(pod) is Fate.SERVES:
                await self.on_start(pod, address)
        fate = fate_of(pod)
        if self._said.get(meta["uid"]) is not fate or is_ready(pod) is not (fate is Fate.SERVES):
            await self._call("PATCH", f"{path}/status", {"status": _status(fate, pod, address)}, kind=_MERGE)
            self._said[meta["uid"]] = fate
            if fate is Fate.PROBE:
                await self._tell_killing(pod)

    async def _tell_killing(self, pod: JsonObject) -> None:
        meta = pod["metadata"]
        event = {
            "apiVersion": "v1", "kind": "Event", "type": "Normal", "reason": "Killing",
            "metadata": {"name": f"{meta['name']}.killing", "namespace": self.namespace},
            "message": "Container worker failed startup probe, will be restarted", "lastTimestamp": now_text(),
            "involvedObject": {"kind": "Pod", "name": meta["name"], "namespace": self.namespace, "uid": meta["uid"]},
        }  # fmt: skip
        await self._call("POST", f"/api/v1/namespaces/{self.namespace}/events", event)

    async def _call(self, method: str, path: str, body: JsonObject, *, kind: str = "application/json") -> None:
        params = {"fieldManager": self.name, "force": "true"} if kind == _APPLY else {}
        await self.api.call(method, path, params=params, body=body, kind=kind)


def fate_of(pod: JsonObject) -> Fate:
    """What it was told to do."""
    args = json.loads(pod["spec"]["containers"][0]["command"][-1])["engine_args"]
    if "fate" in args:
        return Fate[args["fate"]]
    return Fate.CRASHES if args else Fate.SERVES


_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


def _status(fate: Fate, pod: JsonObject, address: str) -> JsonObject:
    image = pod["spec"]["containers"][0]["image"]
    of_model, of_worker = _containers(fate)
    worker = {**_container("worker", image), **of_worker}
    is_ready = bool(worker["ready"])
    conditions = [
        {"type": kind, "status": "True" if is_ready or kind == "PodScheduled" else "False"}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    return {
        "phase": "Running" if fate in (Fate.SERVES, Fate.LOADS) else "Pending", "podIP": address,
        "podIPs": [{"ip": address}], "conditions": conditions, "containerStatuses": [worker],
        "initContainerStatuses": [{**_container("model", image), **of_model}],
    }  # fmt: skip


def _containers(fate: Fate) -> tuple[JsonObject, JsonObject]:
    """What a kubelet would say of the model's and of the worker's container."""
    done: JsonObject = {"ready": True, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    waits: JsonObject = {"state": {"waiting": {"reason": "PodInitializing"}}}
    running: JsonObject = {"state": {"running": {"startedAt": now_text()}}}
    missing = {"reason": "CreateContainerConfigError", "message": 'secret "hub" not found'}
    no_image = {"reason": "ErrImagePull", "message": "manifest unknown"}
    said: dict[Fate, tuple[JsonObject, JsonObject]] = {
        Fate.SERVES: (done, {**running, "ready": True, "started": True}),
        Fate.LOADS: (done, {**running, "started": False}),
        Fate.NO_IMAGE: ({"state": {"waiting": no_image}}, waits),
        Fate.NO_SECRET: ({"state": {"waiting": missing}}, waits),
        Fate.FETCH_FAILS: (_crash(1, "Error", "error: a/b is not on the hub\n"), waits),
        Fate.CRASHES: (done, _crash(1, "Error", "loading\nRuntimeError: no kernel image\n")),
        Fate.OUT_OF_MEMORY: (done, _crash(137, "OOMKilled", "loading shard 3 of 4\n")),
        Fate.PROBE: (done, _crash(0, "Completed", "")),
    }
    return said[fate]


def _container(name: str, image: str) -> JsonObject:
    return {
        "name": name, "image": image, "imageID": "", "ready": False, "restartCount": 0, "started": False,
        "lastState": {},
    }  # fmt: skip


def _crash(code: int, reason: str, message: str) -> JsonObject:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
    ended = {"exitCode": code, "reason": reason, "message": message}
    return {"state": {"waiting": waiting}, "lastState": {"terminated": ended}, "restartCount": 1}
