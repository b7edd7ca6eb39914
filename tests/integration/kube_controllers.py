"""What a cluster does by itself, on a twin: Deployments make pods, nodes are chosen, orphans are collected."""

import asyncio
import copy
import uuid
from dataclasses import dataclass

from kube_apply import Owners
from kube_store import JsonObject, Key, KubeStore

Used = dict[str, dict[str, float]]
"""What is asked of each node, by kind."""

_GROUPS = "leaderworkerset.sigs.k8s.io"
_UNITS = {"Mi": 1 << 20, "Gi": 1 << 30, "Ki": 1 << 10, "m": 0.001}


@dataclass(slots=True)
class Controllers:
    """All of them on one store. `pause_s`: how long changes are gathered before they are acted on."""

    store: KubeStore
    pause_s: float = 0.0

    async def run(self) -> None:
        """Work whenever something changed, until cancelled."""
        while True:
            news, version = self.store.news, self.store.version
            self._collect_garbage()
            owned = self._pods_by_owner()
            for key, deployment in self.store.list("apps/v1/deployments", None):
                self._reconcile(key, deployment, owned.get(deployment["metadata"]["uid"], []))
            for key, groups in self.store.list("leaderworkerset.x-k8s.io/v1/leaderworkersets", None):
                self._keep_groups(key, groups, owned.get(groups["metadata"]["uid"], []))
            for key, job in self.store.list("batch/v1/jobs", None):
                self._run_job(key, job, owned.get(job["metadata"]["uid"], []))
            self._schedule()
            if self.store.version == version:
                await news.wait()
            await asyncio.sleep(self.pause_s)

    def _pods_by_owner(self) -> dict[str, list[tuple[Key, JsonObject]]]:
        owned: dict[str, list[tuple[Key, JsonObject]]] = {}
        for key, pod in self.store.list("v1/pods", None):
            for owner in pod["metadata"].get("ownerReferences", []):
                owned.setdefault(owner["uid"], []).append((key, pod))
        return owned

    def _collect_garbage(self) -> None:
        living = {value["metadata"]["uid"] for value in self.store.objects.values()}
        for key, value in list(self.store.objects.items()):
            owners = value["metadata"].get("ownerReferences", [])
            is_going = "deletionTimestamp" in value["metadata"]
            if owners and not is_going and not any(owner["uid"] in living for owner in owners):
                self.store.delete(key, grace_s=None, propagation="Background")
            if "foregroundDeletion" in value["metadata"].get("finalizers", []):
                self._collect_foreground(key, value)

    def _collect_foreground(self, key: Key, value: JsonObject) -> None:
        owned = [k for k, v in self.store.objects.items() if _is_owned(v, by=value)]
        for dependent in owned:
            if "deletionTimestamp" not in self.store.objects[dependent]["metadata"]:
                self.store.delete(dependent, grace_s=None, propagation="Background")
        if not owned:
            self.store.drop_finalizer(key, "foregroundDeletion")

    def _reconcile(self, key: Key, deployment: JsonObject, pods: list[tuple[Key, JsonObject]]) -> None:
        """Rolling: one pod more than wanted at most, and an old one ends only when a new one serves in its place."""
        if "deletionTimestamp" in deployment["metadata"]:
            return
        wanted = deployment["spec"].get("replicas", 1)
        mark = _mark(deployment)
        staying = [(k, p) for k, p in pods if "deletionTimestamp" not in p["metadata"]]
        new = [(k, p) for k, p in staying if p["metadata"]["annotations"].get("mark") == mark]
        old = [(k, p) for k, p in staying if p["metadata"]["annotations"].get("mark") != mark]
        for dead in [k for k, p in staying if p.get("status", {}).get("phase") in ("Failed", "Succeeded")]:
            self.store.delete(dead, grace_s=0, propagation="Background")
        refusal = ""
        for _ in range(min(wanted - len(new), wanted + (1 if old else 0) - len(staying))):
            refusal = self._make_pod(key, deployment, mark) or refusal
        ready = sum(_is_ready(p) for _, p in staying)
        spare = ready - wanted
        for pod_key, pod in sorted(old, key=lambda kp: _is_ready(kp[1])):
            if not _is_ready(pod) or spare > 0:
                spare -= _is_ready(pod)
                self.store.delete(pod_key, grace_s=None, propagation="Background")
        for pod_key, _ in sorted(new, key=lambda kp: _is_ready(kp[1]))[: max(0, len(new) - wanted)]:
            self.store.delete(pod_key, grace_s=None, propagation="Background")
        self._tell(key, deployment, new=len(new), ready=ready, refusal=refusal)

    def _keep_groups(self, key: Key, groups: JsonObject, pods: list[tuple[Key, JsonObject]]) -> None:
        """LeaderWorkerSet: groups of pods that come and go together; an old template's group goes once a new one is up.

        Groups have numbers; a new one in place of an old one has the next that is free.
        """
        if "deletionTimestamp" in groups["metadata"]:
            return
        spec = groups["spec"]
        templates = spec["leaderWorkerTemplate"]
        mark = templates["leaderTemplate"]["metadata"]["labels"]["tokenforge/template"]
        there: dict[int, list[tuple[Key, JsonObject]]] = {}
        for pod_key, pod in pods:
            there.setdefault(int(pod["metadata"]["labels"][f"{_GROUPS}/group-index"]), []).append((pod_key, pod))
        new = [n for n, group in there.items() if _is_of(group, mark)]
        missing = spec.get("replicas", 1) - len(new)
        free = (n for n in range(1_000) if n not in there)
        refusal = ""
        for number in [next(free) for _ in range(missing)]:
            refusal = self._make_group(key, groups, number) or refusal
        self._tell_refusal(key, groups, refusal)
        served = sum(any(_is_ready(pod) for _, pod in there[n]) for n in new)
        old = [n for n in there if n not in new]
        spare = old[: max(0, served + len(old) - spec.get("replicas", 1))] if served else []
        for number in (*spare, *sorted(new)[spec.get("replicas", 1) :]):
            for pod_key, pod in there[number]:
                if "deletionTimestamp" not in pod["metadata"]:
                    self.store.delete(pod_key, grace_s=None, propagation="Background")

    def _make_group(self, key: Key, groups: JsonObject, number: int) -> str:
        owner, templates = groups["metadata"], groups["spec"]["leaderWorkerTemplate"]
        for worker in range(templates["size"]):
            if refusal := self._quota(key[1]):
                return refusal
            template = copy.deepcopy(templates["workerTemplate" if worker else "leaderTemplate"])
            meta = template["metadata"]
            meta["labels"] |= {f"{_GROUPS}/group-index": str(number), f"{_GROUPS}/worker-index": str(worker)}
            meta["ownerReferences"] = [
                {"apiVersion": groups["apiVersion"], "kind": groups["kind"], "name": owner["name"], "uid": owner["uid"]}
            ]
            leader = f"{owner['name']}-{number}"
            for container in template["spec"]["containers"]:
                container["env"] += [
                    {"name": "LWS_LEADER_ADDRESS", "value": f"{leader}.{owner['name']}.{key[1]}"},
                    {"name": "LWS_GROUP_SIZE", "value": str(templates["size"])},
                    {"name": "LWS_WORKER_INDEX", "value": str(worker)},
                ]
            pod = {"apiVersion": "v1", "kind": "Pod", **template, "status": {"phase": "Pending"}}
            name = f"{leader}-{worker}" if worker else leader
            self.store.create(("v1/pods", key[1], name), pod, manager="lws")
        return ""

    def _tell_refusal(self, key: Key, groups: JsonObject, refusal: str) -> None:
        name = groups["metadata"]["name"]
        kind = "Job" if groups["kind"] == "Job" else "StatefulSet"
        event_key = ("v1/events", key[1], f"{name}.refused")
        if not refusal or event_key in self.store.objects:
            return
        event = {
            "apiVersion": "v1", "kind": "Event", "reason": "FailedCreate",
            "message": f"create Pod {name}-0 failed: {refusal}",
            "involvedObject": {"kind": kind, "name": name, "namespace": key[1]}, "metadata": {},
        }  # fmt: skip
        self.store.create(event_key, event, manager="statefulset")

    def _quota(self, namespace: str) -> str:
        """Why no further pod may be; empty when one may."""
        for _, quota in self.store.list("v1/resourcequotas", namespace):
            hard = int(quota["spec"]["hard"].get("pods", "1000"))
            used = len(self.store.list("v1/pods", namespace))
            if used >= hard:
                counts = f"requested: pods=1, used: pods={used}, limited: pods={hard}"
                return f'pods "p" is forbidden: exceeded quota: {quota["metadata"]["name"]}, {counts}'
        return ""

    def _pod_security(self, namespace: str, template: JsonObject) -> str:
        """What the admission of Pod Security says to a pod, of the one rule that pods of ours can break."""
        labels = self.store.objects.get(("v1/namespaces", "", namespace), {"metadata": {}})["metadata"].get(
            "labels", {}
        )
        taken = [volume["name"] for volume in template["spec"].get("volumes", []) if "hostPath" in volume]
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted" or not taken:
            return ""
        rule = f'restricted volume types (volume "{taken[0]}" uses restricted volume type "hostPath")'
        return f'pods "p" is forbidden: violates PodSecurity "restricted:latest": {rule}'

    def _run_job(self, key: Key, job: JsonObject, pods: list[tuple[Key, JsonObject]]) -> None:
        """An Indexed Job: one pod a number; one that failed or was deleted ends all, as `backoffLimit` 0 wants."""
        if "deletionTimestamp" in job["metadata"] or job.get("status", {}).get("conditions"):
            return
        count = job["spec"]["completions"]
        made = job.get("status", {}).get("started", 0)
        if not made and (refusal := self._quota(key[1])):
            self._tell_refusal(key, job, refusal)
            return
        if not made:
            for number in range(count):
                self._make_indexed(key, job, number)
            self.store.patch_status(key, {"started": count, "active": count})
            return
        phases = [pod.get("status", {}).get("phase") for _, pod in pods]
        if phases.count("Succeeded") == count:
            self._close_job(key, "Complete", "")
        elif len(pods) < count or "Failed" in phases:
            self._close_job(key, "Failed", "Job has reached the specified backoff limit")
            for pod_key, pod in pods:
                if pod.get("status", {}).get("phase") not in ("Failed", "Succeeded"):
                    self.store.delete(pod_key, grace_s=None, propagation="Background")

    def _close_job(self, key: Key, kind: str, message: str) -> None:
        self.store.patch_status(
            key, {"active": 0, "conditions": [{"type": kind, "status": "True", "message": message}]}
        )

    def _make_indexed(self, key: Key, job: JsonObject, number: int) -> None:
        template = copy.deepcopy(job["spec"]["template"])
        owner, meta = job["metadata"], template["metadata"]
        meta["annotations"] = {"batch.kubernetes.io/job-completion-index": str(number)}
        meta["ownerReferences"] = [
            {"apiVersion": "batch/v1", "kind": "Job", "name": owner["name"], "uid": owner["uid"]}
        ]
        env = template["spec"]["containers"][0].setdefault("env", [])
        env.append({"name": "JOB_COMPLETION_INDEX", "value": str(number)})
        pod = {"apiVersion": "v1", "kind": "Pod", **template, "status": {"phase": "Pending"}}
        self.store.create(("v1/pods", key[1], f"{owner['name']}-{number}-{uuid.uuid4().hex[:5]}"), pod, manager="job")

    def _make_pod(self, key: Key, deployment: JsonObject, mark: str) -> str:
        """Why it could not be made; empty when it was."""
        if refusal := self._quota(key[1]) or self._pod_security(key[1], deployment["spec"]["template"]):
            return refusal
        template = copy.deepcopy(deployment["spec"]["template"])
        meta = template["metadata"]
        meta["annotations"] = {**meta.get("annotations", {}), "mark": mark}
        owner = deployment["metadata"]
        meta["ownerReferences"] = [
            {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner["name"], "uid": owner["uid"]}
        ]
        pod = {"apiVersion": "v1", "kind": "Pod", **template, "status": {"phase": "Pending"}}
        name = f"{owner['name']}-{uuid.uuid4().hex[:8]}"
        self.store.create(("v1/pods", key[1], name), pod, manager="controller")
        return ""

    def _tell(self, key: Key, deployment: JsonObject, *, new: int, ready: int, refusal: str) -> None:
        known = {c["type"]: c for c in deployment.get("status", {}).get("conditions", [])}
        failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": refusal}
        conditions = [failure] if refusal else []
        if not refusal and new < deployment["spec"].get("replicas", 1):
            conditions = [known["ReplicaFailure"]] if "ReplicaFailure" in known else []
        status = {
            "observedGeneration": deployment["metadata"]["generation"], "updatedReplicas": new, "readyReplicas": ready,
            "conditions": conditions,
        }  # fmt: skip
        if deployment.get("status") != status:
            self.store.patch_status(key, status)

    def _schedule(self) -> None:
        pods = self.store.list("v1/pods", None)
        used: Used = {}
        for _, pod in pods:
            if pod["spec"].get("nodeName"):
                _use(used, pod["spec"]["nodeName"], pod)
        for key, pod in pods:
            if pod["spec"].get("nodeName"):
                continue
            chosen, message = self._place_for(pod, used)
            if chosen is None:
                condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
                self.store.patch_status(key, {"conditions": [condition]})
                continue
            bound = copy.deepcopy(pod)
            bound["spec"]["nodeName"] = chosen
            bound.setdefault("status", {})["conditions"] = [{"type": "PodScheduled", "status": "True"}]
            self.store.owners.setdefault(key, Owners())
            self.store.replace(key, bound, manager="scheduler")
            _use(used, chosen, pod)

    def _place_for(self, pod: JsonObject, used: Used) -> tuple[str | None, str]:
        """A node with room, or the sentence that a scheduler says."""
        nodes = self.store.list("v1/nodes", None)
        reasons: dict[str, int] = {}
        for _, node in nodes:
            lacks = _lacks(node, pod, used.get(node["metadata"]["name"], {}))
            if not lacks:
                return str(node["metadata"]["name"]), ""
            reasons[lacks] = reasons.get(lacks, 0) + 1
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        return None, f"0/{len(nodes)} nodes are available: {told or 'no nodes'}."


def _lacks(node: JsonObject, pod: JsonObject, used: dict[str, float]) -> str:
    """What of the node keeps the pod off it, in a scheduler's words; empty when nothing does."""
    labels = node["metadata"].get("labels", {})
    if any(labels.get(name) != value for name, value in pod["spec"].get("nodeSelector", {}).items()):
        return "node(s) didn't match Pod's node affinity/selector"
    room = node.get("status", {}).get("allocatable", {})
    for kind, asked in _requests(pod).items():
        if used.get(kind, 0.0) + asked > quantity(room.get(kind, "0")):
            return f"Insufficient {kind}"
    return ""


def _use(used: Used, node: str, pod: JsonObject) -> None:
    for kind, asked in _requests(pod).items():
        there = used.setdefault(node, {})
        there[kind] = there.get(kind, 0.0) + asked


def quantity(text: str) -> float:
    """A Kubernetes quantity as a number."""
    for unit, factor in _UNITS.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)


def _requests(pod: JsonObject) -> dict[str, float]:
    asked: dict[str, float] = {}
    for container in pod["spec"]["containers"]:
        for name, text in container.get("resources", {}).get("requests", {}).items():
            asked[name] = asked.get(name, 0.0) + quantity(text)
    return asked


def _is_of(group: list[tuple[Key, JsonObject]], mark: str) -> bool:
    return all(
        pod["metadata"]["labels"]["tokenforge/template"] == mark and "deletionTimestamp" not in pod["metadata"]
        for _, pod in group
    )


def _mark(deployment: JsonObject) -> str:
    return str(deployment["spec"]["template"]["metadata"]["labels"].get("tokenforge/template", ""))


def _is_owned(value: JsonObject, *, by: JsonObject) -> bool:
    return any(owner["uid"] == by["metadata"]["uid"] for owner in value["metadata"].get("ownerReferences", []))


def _is_ready(pod: JsonObject) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
