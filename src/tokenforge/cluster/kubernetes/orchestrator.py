"""The Orchestrator of a Kubernetes cluster: what is wanted is applied, what is seen comes from reflectors.

Level-triggered on both sides. A workload bears the digest of all objects that were made with it, written last, so a
process that was killed between two of them makes all of them again, and one that finds all of them sends nothing. Now
and then it makes them again all the same: what others changed or deleted is put right.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tokenforge.cluster.base import Standing
from tokenforge.cluster.kubernetes.api import MANAGER, Api
from tokenforge.cluster.kubernetes.pods import (
    answers,
    life_of,
    serves,
    sighting_of,
    url_of,
    with_followers,
    workload_cause,
)
from tokenforge.cluster.kubernetes.reflector import Reflector
from tokenforge.cluster.kubernetes.resources import collection, path_of, read_features
from tokenforge.cluster.kubernetes.seen import by_deployment, generation, is_as_wanted, killings, refusal_of, template
from tokenforge.cluster.kubernetes.worker_infos import Ask, WorkerInfos
from tokenforge.cluster.manifests.around import autoscaler_of
from tokenforge.cluster.manifests.group import VERSION as GROUPS
from tokenforge.cluster.manifests.names import (
    DIGEST,
    SCALED_BY,
    TEMPLATE,
    own_labels,
    selector_text,
)
from tokenforge.cluster.manifests.objects import DeploymentObjects, objects_of, owned
from tokenforge.cluster.manifests.site import Features, Site
from tokenforge.domain.deployment import Deployment, DeploymentId, DeploymentSpec
from tokenforge.domain.errors import ClusterRefused, ClusterUnreachable

JsonObject = dict[str, Any]

RESYNC_S = 600.0
"""How often all objects are made again though nothing seems to have changed."""

_FEATURES_S = 300.0
_OF_GROUPS = ("groups", "refusals")


@dataclass(frozen=True, slots=True)
class _Made:
    """What a deployment of a generation becomes, and when it was last sent (monotonic; negative: never by us).

    `wanted`: the replicas of that.
    """

    generation: int
    wanted: int
    features: Features
    objects: DeploymentObjects
    sent_s: float


@dataclass(slots=True, kw_only=True)
class KubernetesOrchestrator:
    """`model_bytes` is called in a thread and may take a while; `chance` is uniform between 0 and 1."""

    api: Api
    site: Site
    model_bytes: Callable[[DeploymentSpec], int | None]
    ask: Ask
    chance: Callable[[], float]
    clock: Callable[[], float] = time.monotonic
    _version: int = 0
    _made: dict[DeploymentId, _Made] = field(default_factory=dict)
    _features: tuple[Features, float] | None = None
    _reflectors: dict[str, Reflector] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _infos: WorkerInfos = field(init=False)

    def __post_init__(self) -> None:
        self._infos = WorkerInfos(ask=self.ask, on_news=self._changed)

    def start(self) -> None:
        """Begin to look. Needs a running loop."""
        space = self.site.namespace
        ours = {"labelSelector": selector_text(own_labels(self.site.instance))}
        killed = {"fieldSelector": "involvedObject.kind=Pod,reason=Killing"}
        watched = {
            "workloads": (collection("apps/v1", "Deployment", namespace=space), ours),
            "pods": (collection("v1", "Pod", namespace=space), ours),
            "events": (collection("v1", "Event", namespace=space), killed),
        }
        for name, (path, params) in watched.items():
            self._watch(name, path, params)

    def _watch(self, name: str, path: str, params: Mapping[str, str]) -> None:
        reflector = Reflector(api=self.api, path=path, params=params, on_change=self._changed, chance=self.chance)
        self._reflectors[name] = reflector
        self._tasks.append(asyncio.create_task(reflector.run(), name=f"watch {name}"))

    def _watch_groups(self) -> None:
        """Groups of pods too, once the cluster is known to have their kind; and why their pods are refused."""
        space = self.site.namespace
        ours = {"labelSelector": selector_text(own_labels(self.site.instance))}
        refused = {"fieldSelector": "involvedObject.kind=StatefulSet,reason=FailedCreate"}
        self._watch("groups", collection(GROUPS, "LeaderWorkerSet", namespace=space), ours)
        self._watch("refusals", collection("v1", "Event", namespace=space), refused)

    async def apply(self, deployment: Deployment) -> None:
        """Make its objects what it wants."""
        made = await self._objects(deployment)
        live = self._live(made.objects.workload)
        if live is not None and "deletionTimestamp" in live["metadata"]:
            raise ClusterRefused(
                f"{live['metadata']['name']} is still ending", code="conflict", status=409, hint="It is tried again"
            )
        await self._retire(made.objects)
        if is_as_wanted(live, made.objects, deployment) and self.clock() - made.sent_s < RESYNC_S:
            return
        await self._send(made.objects, live)
        self._made[deployment.id] = replace(made, sent_s=self.clock())

    def _live(self, workload: JsonObject) -> JsonObject | None:
        """That very workload as the cluster has it."""
        kind = "workloads" if workload["kind"] == "Deployment" else "groups"
        return self._held(kind).get(workload["metadata"]["name"])

    async def _retire(self, objects: DeploymentObjects) -> None:
        """A deployment that came to need several nodes, or one, is another kind of workload: once the new one serves,
        the old one ends."""
        workload = objects.workload
        other = self._held("groups" if workload["kind"] == "Deployment" else "workloads").get(
            workload["metadata"]["name"]
        )
        if other is None or "deletionTimestamp" in other["metadata"]:
            return
        labels = (pod["metadata"].get("labels") or {} for pod in self._held("pods").values() if answers(pod))
        if any(label.get(TEMPLATE) == objects.template for label in labels):
            await self.api.delete(path_of(other))

    async def look(self) -> Mapping[DeploymentId, Standing]:
        """Every deployment of which a workload or a pod is there."""
        if self._features is None:
            await self._read_features()
        unsynced = [one for name, one in self._reflectors.items() if not one.is_synced and not _is_closed(name, one)]
        if unsynced or not self._reflectors:
            cause = next((one.trouble for one in unsynced if one.trouble is not None), None)
            if isinstance(cause, ClusterRefused):
                raise cause
            raise ClusterUnreachable("the cluster has not been looked at yet" if cause is None else str(cause))
        pods = by_deployment(self._held("pods").values())
        workloads = by_deployment(self._workloads())
        self._infos.want(
            {life_of(pod): url_of(pod) for group in pods.values() for pod in group if answers(pod) and serves(pod)}
        )
        killed = killings(self._held("events").values())
        return {
            identity: self._standing(workloads.get(identity, []), pods.get(identity, []), killed)
            for identity in {**workloads, **pods}
        }

    async def remove(self, deployment: DeploymentId) -> None:
        """Ask for the end of its workload; the cluster ends what the workload owns."""
        self._made.pop(deployment, None)
        for workload in by_deployment(self._workloads()).get(deployment, []):
            if "deletionTimestamp" not in workload["metadata"]:
                await self.api.delete(path_of(workload))

    def version(self) -> int:
        """Grows with every change that a reflector saw."""
        return self._version

    async def close(self) -> None:
        """Stop looking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._infos.close()
        await self.api.close()

    def _changed(self) -> None:
        self._version += 1

    def _workloads(self) -> list[JsonObject]:
        """Of both kinds, the newest generation of a deployment first."""
        both = [*self._held("workloads").values(), *self._held("groups").values()]
        return sorted(both, key=generation, reverse=True)

    def _held(self, name: str) -> Mapping[str, JsonObject]:
        return self._reflectors[name].objects if name in self._reflectors else {}

    async def _objects(self, deployment: Deployment) -> _Made:
        features = await self._read_features()
        known = self._made.get(deployment.id)
        asked = (deployment.generation, deployment.wanted, features)
        if known is not None and (known.generation, known.wanted, known.features) == asked:
            return known
        size = await asyncio.to_thread(self.model_bytes, deployment.spec)
        objects = objects_of(deployment, site=self.site, features=features, model_bytes=size)
        spread_s = self.chance() * RESYNC_S  # those found after a start are not all made again at once
        made = _Made(deployment.generation, deployment.wanted, features, objects, self.clock() - spread_s)
        self._made[deployment.id] = made
        return made

    async def _read_features(self) -> Features:
        if self._features is None or self.clock() - self._features[1] > _FEATURES_S:
            try:
                self._features = (await read_features(self.api, self.site), self.clock())
            except ClusterUnreachable:
                if self._features is None:
                    raise
                return self._features[0]  # what is as wanted needs no server to be so
            if self._features[0].has_leader_worker_set and "groups" not in self._reflectors and self._tasks:
                self._watch_groups()
        return self._features[0]

    async def _send(self, objects: DeploymentObjects, live: JsonObject | None) -> None:
        """The workload, what it owns, and last the digest that says that all was sent."""
        workload = objects.workload
        if live is not None:
            await self._hand_over(workload, live)
        notes = workload["metadata"]["annotations"]
        unfinished = {name: value for name, value in notes.items() if name != DIGEST}
        begun = {**workload, "metadata": {**workload["metadata"], "annotations": unfinished}}
        owner = await self.api.apply(path_of(workload), begun)
        for value in objects.around:
            await self.api.apply(path_of(value), owned(value, owner=owner))
        await self.api.apply(path_of(workload), workload)

    async def _hand_over(self, workload: JsonObject, live: JsonObject) -> None:
        """Whoever scales changes without a jump in the number of replicas.

        An autoscaler that is not wanted any more goes first. One that comes finds the number as it is: a field that we
        only stop to apply would fall back to its default, so another manager of ours keeps it until it is scaled.
        """
        notes = live["metadata"].get("annotations") or {}
        if SCALED_BY in notes and SCALED_BY not in workload["metadata"]["annotations"]:
            await self.api.delete(path_of(autoscaler_of(workload, self._known_features())))
        if "replicas" not in workload["spec"] and SCALED_BY not in notes:
            identity = {name: workload["metadata"][name] for name in ("name", "namespace")}
            kept = {"apiVersion": workload["apiVersion"], "kind": workload["kind"], "metadata": identity}
            number = {"replicas": live["spec"].get("replicas", 1)}
            await self.api.apply(path_of(workload), {**kept, "spec": number}, manager=f"{MANAGER}-replicas")

    def _known_features(self) -> Features:
        return Features() if self._features is None else self._features[0]

    def _standing(self, workloads: list[JsonObject], pods: list[JsonObject], killed: Mapping[str, str]) -> Standing:
        sighted = [
            (pod, sighting_of(pod, info=self._infos.of(life_of(pod)), killing=killed.get(pod["metadata"]["uid"])))
            for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
        ]
        sightings = with_followers(sighted)
        if not workloads:
            return Standing(generation=0, template="", pods=sightings, is_ending=True)
        workload = workloads[0]
        meta, events = workload["metadata"], self._held("refusals").values()
        cause = workload_cause(workload) or refusal_of(workload, pods, events)
        return Standing(
            generation=generation(workload),
            template=template(workload),
            pods=sightings,
            replicas=int(workload["spec"].get("replicas", 1)),
            scaled_by=(meta.get("annotations") or {}).get(SCALED_BY, ""),
            trouble=None if cause is None else ClusterRefused(cause[1], code=cause[0], status=403),
            is_ending="deletionTimestamp" in meta,
        )


def _is_closed(name: str, reflector: Reflector) -> bool:
    """Whether it looks for groups of pods and may not: a role without that right serves all that needs no groups."""
    return name in _OF_GROUPS and isinstance(reflector.trouble, ClusterRefused)
