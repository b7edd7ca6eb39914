"""One orchestrator before a cluster, and what tests ask of it: how a deployment stands, and what is said of it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kube_server import KubeServer
from manifest_samples import deployment_of
from placement_rigs import ClusterPlace

from tokenforge.cluster.base import Standing
from tokenforge.cluster.kubernetes.orchestrator import KubernetesOrchestrator
from tokenforge.cluster.kubernetes.resources import path_of, read_features
from tokenforge.cluster.manifests.objects import objects_of
from tokenforge.control.settle import ClusterWorld, settle
from tokenforge.domain.deployment import Deployment, DeploymentSpec
from tokenforge.domain.deployment_state import Observed
from tokenforge.domain.errors import TokenForgeError
from tokenforge.protocol.worker_spec import WorkerPhase

LIMIT_S = 240.0
"""Longer than a real API server takes to start on a machine that does much else."""


@dataclass(slots=True)
class Stage:
    """A cluster and one orchestrator that looks at it. `server` is there for a twin alone."""

    place: ClusterPlace
    orchestrator: KubernetesOrchestrator
    server: KubeServer | None

    def deployment(self, *, generation: int = 1, identity: str = "0190aaaa-0001", **changes: object) -> Deployment:
        spec: DeploymentSpec = replace(self.place.spec, **changes)  # type: ignore[arg-type]
        return deployment_of(spec, identity=identity, generation=generation)

    async def apply(self, deployment: Deployment) -> None:
        """Until it was taken."""
        end_s = time.monotonic() + LIMIT_S
        while True:
            try:
                await self.orchestrator.apply(deployment)
            except TokenForgeError:
                if time.monotonic() > end_s:
                    raise
                await asyncio.sleep(0.1)
            else:
                return

    async def until(self, deployment: Deployment, is_so: Callable[[Standing | None], bool]) -> Standing | None:
        """How it stands once it is as wanted."""
        end_s, standing = time.monotonic() + LIMIT_S, None
        while time.monotonic() < end_s:
            try:
                standing = (await self.orchestrator.look()).get(deployment.id)
            except TokenForgeError:
                standing = None
            else:
                if is_so(standing):
                    return standing
            await asyncio.sleep(0.02)
        raise TimeoutError(str(standing))

    async def live(self, kind: str, deployment: Deployment) -> dict[str, Any]:
        """That object as the server has it now."""
        objects = objects_of(
            deployment, site=self.place.site, features=await read_features(self.place.node.api, self.place.site),
            model_bytes=1 << 20,
        )  # fmt: skip
        (value,) = [value for value in objects.all if value["kind"] == kind]
        found = await self.place.node.api.get(path_of(value))
        assert found is not None
        return found


def serves(count: int, *, generation: int = 1) -> Callable[[Standing | None], bool]:
    def is_so(standing: Standing | None) -> bool:
        if standing is None or standing.generation != generation:
            return False
        ready = [pod for pod in standing.pods if pod.phase is WorkerPhase.READY]
        templates = {pod.labels["template"] for pod in ready}
        templates = {pod.labels["template"] for pod in ready}
        return len(ready) == len(standing.pods) == count and templates == {standing.template}

    return is_so


def name_of(value: dict[str, Any]) -> dict[str, str]:
    return {key: value["metadata"][key] for key in ("name", "namespace")}


def healthy(deployment: Deployment, standing: Standing | None) -> tuple[str, bool]:
    """The reason, and whether nobody says that it is ready."""
    observed = observed_of(deployment, standing)
    condition, is_ready = observed.condition("Healthy"), observed.condition("Ready")
    assert condition is not None
    assert is_ready is not None
    return condition.reason, not is_ready.is_true


def message(deployment: Deployment, standing: Standing | None) -> str:
    condition = observed_of(deployment, standing).condition("Healthy")
    assert condition is not None
    return condition.message


def observed_of(deployment: Deployment, standing: Standing | None) -> Observed:
    world = ClusterWorld(standing=standing, refusal=None, is_new=False, now_s=1.0, now="t")
    return settle(deployment, world).observed
