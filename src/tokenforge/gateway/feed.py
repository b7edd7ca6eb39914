"""Keeps the tables of routes and keys fresh: reads the store beside the hot path and hands over whole new tables.

A store that does not answer changes nothing: the last table stays, and who asks is served.
"""

import asyncio
import contextlib
import logging
from datetime import datetime

from tokenforge.domain.deployment import Deployment
from tokenforge.domain.deployment_state import Replica, ReplicaPhase
from tokenforge.domain.errors import TokenForgeError
from tokenforge.gateway.guard import KeyRing
from tokenforge.gateway.routing import Endpoint, Router, RouteTable, Served
from tokenforge.store.base import Deployments, Keys, Observations

_log = logging.getLogger(__name__)

EVERY_S = 0.1
_UNKNOWN_CAPACITY = 512


class RouteFeed:
    """Reads when the store's version grew."""

    def __init__(self, deployments: Deployments, observations: Observations, router: Router) -> None:
        self._keys: Keys | None = None
        self._ring: KeyRing | None = None
        self._deployments = deployments
        self._observations = observations
        self._router = router
        self._version = -1
        self._is_well = True
        self._reading: asyncio.Task[None] | None = None

    def also(self, keys: Keys, ring: KeyRing) -> None:
        """Keep that table of keys fresh too."""
        self._keys, self._ring = keys, ring

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        while not stop.is_set():
            await self.refresh()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timeout=EVERY_S)

    async def refresh(self) -> None:
        """Take news, if there are any; those who ask at once share one reading."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await asyncio.shield(self._reading)

    async def _read(self) -> None:
        try:
            version = await self._observations.version()
            if version != self._version:
                if self._keys is not None and self._ring is not None:
                    self._ring.replace(await self._keys.list())
                self._router.replace(table_of(await self._deployments.list()))
                self._version = version
            self._is_well = True
        except TokenForgeError as error:
            if self._is_well:
                _log.error("the routing table stays as it was: %s", error)
            self._is_well = False


def table_of(deployments: tuple[Deployment, ...]) -> RouteTable:
    """Who serves what, as last observed."""
    by_model: dict[str, list[Served]] = {}
    for deployment in deployments:
        if not deployment.is_deleting:
            by_model.setdefault(str(deployment.spec.model), []).append(_served(deployment))
    return RouteTable({model: tuple(served) for model, served in by_model.items()})


def _served(deployment: Deployment) -> Served:
    endpoints = (_endpoint(deployment, replica) for replica in deployment.observed.replicas)
    autoscale = deployment.spec.autoscale
    return Served(
        id=deployment.id,
        model=str(deployment.spec.model),
        runtime=str(deployment.spec.runtime),
        created_s=int(datetime.fromisoformat(deployment.created_at).timestamp()),
        cause=_cause(deployment),
        name=deployment.spec.name,
        endpoints=tuple(endpoint for endpoint in endpoints if endpoint is not None),
        routing=deployment.spec.routing,
        most=None if autoscale is None else autoscale.max,
        is_held=autoscale is not None and deployment.observed.failures == 0,
    )


def _endpoint(deployment: Deployment, replica: Replica) -> Endpoint | None:
    info = replica.info
    if replica.phase is not ReplicaPhase.READY or not replica.url or info is None:
        return None
    return Endpoint(
        id=replica.id,
        deployment=deployment.id,
        model=str(deployment.spec.model),
        runtime=str(deployment.spec.runtime),
        url=replica.url,
        capacity=_UNKNOWN_CAPACITY if info.max_num_seqs is None else 2 * info.max_num_seqs,
        info=info,
        name=deployment.spec.name,
    )


def _cause(deployment: Deployment) -> str:
    """Why it does not serve, as its conditions say."""
    observed = deployment.observed
    for kind in ("Healthy", "Prepared", "Ready"):
        condition = observed.condition(kind)
        if condition is not None and not condition.is_true:
            return f"deployment {deployment.spec.name} is {observed.phase} ({condition.reason}: {condition.message})"
    return f"deployment {deployment.spec.name} is {observed.phase}"
