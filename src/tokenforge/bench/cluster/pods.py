"""Driver pods as the cluster has them: made as an Indexed Job, looked at, ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenforge.cluster.kubernetes.api import Api
from tokenforge.cluster.kubernetes.pods import sighting_of
from tokenforge.cluster.kubernetes.resources import collection, path_of
from tokenforge.cluster.manifests.driver_job import JOB, driver_job, driver_labels
from tokenforge.cluster.manifests.names import selector_text
from tokenforge.cluster.manifests.site import Site
from tokenforge.domain.errors import ClusterRefused, ClusterUnreachable

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A pod that will bring nothing: its uid, its name where it is still there, and what became of it."""

    life: str
    pod: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverPods:
    """Those of one cluster."""

    api: Api
    site: Site

    async def create(self, name: str, *, count: int, limit_s: int) -> None:
        """Make the Job. Raises ClusterRefused with the cause, also where a server does not know Indexed Jobs."""
        value = driver_job(name, pods=count, limit_s=limit_s, site=self.site)
        made = await self.api.apply(path_of(value), value)
        if made["spec"].get("completionMode") != "Indexed":
            await self.delete(name)
            raise ClusterRefused(
                "this cluster knows no Indexed Jobs",
                code="cluster_refused",
                status=422,
                hint="it takes Kubernetes 1.24",
            )

    async def delete(self, name: str) -> None:
        """End the Job and its pods."""
        await self.api.delete(f"{self._jobs()}/{name}")

    async def clear(self) -> None:
        """End every Job of drivers that is there."""
        found, _ = await self.api.list(self._jobs(), params={"labelSelector": selector_text(driver_labels(self.site))})
        for job in found:
            await self.delete(job["metadata"]["name"])

    async def lost(self, name: str, lives: Sequence[str]) -> Lost | None:
        """The first pod that failed, or is there no more though it has a share; None while all is well, or unknown."""
        try:
            pods = await self._pods(name)
        except ClusterUnreachable:
            return None  # what runs there goes on; who brings its journal needs no API server
        there = {pod["metadata"]["uid"]: pod for pod in pods}
        for life in lives:
            if life not in there:
                return Lost(life=life, pod="", text="was deleted")
        for life, pod in there.items():
            seen = sighting_of(pod, info=None, killing=None)
            if life in lives and seen.stopping_since_s is not None:
                return Lost(life=life, pod=seen.name, text="was asked to end")
            if not seen.is_alive and pod["status"].get("phase") != "Succeeded":
                return Lost(life=life, pod=seen.name, text=f"failed: {seen.cause or 'no cause was told'}")
        return None

    async def waiting_for(self, name: str) -> str:
        """Why pods have not come."""
        try:
            pods = await self._pods(name)
            causes = [seen.cause for seen in (sighting_of(pod, info=None, killing=None) for pod in pods) if seen.cause]
            refused = {"fieldSelector": f"involvedObject.name={name},reason=FailedCreate"}
            events, _ = await self.api.list(collection("v1", "Event", namespace=self.site.namespace), params=refused)
        except (ClusterUnreachable, ClusterRefused) as error:
            return str(error)
        told = [str(event.get("message", "")) for event in events]
        return next(iter((*causes, *filter(None, told))), "the cluster tells no cause" if pods else "no pod was made")

    async def _pods(self, name: str) -> list[JsonObject]:
        path = collection("v1", "Pod", namespace=self.site.namespace)
        return (await self.api.list(path, params={"labelSelector": f"{JOB}={name}"}))[0]

    def _jobs(self) -> str:
        return collection("batch/v1", "Job", namespace=self.site.namespace)
