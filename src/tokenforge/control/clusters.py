"""Control of deployments that a cluster keeps: apply what is wanted, look, say what is so, whenever either changed.

It works beside the loop of local workers and under the same lease, since an API server may be slow and a lease must not
run out over it. Nothing is done while neither the store nor the cluster has news, but for tries that are due.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tokenforge.cluster.base import Orchestrator, Standing
from tokenforge.control.decision import Remove, Withdraw
from tokenforge.control.settle import ClusterWorld, settle
from tokenforge.control.telling import Teller, time_text
from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import Deployment, DeploymentId
from tokenforge.domain.errors import ClusterUnreachable, LeaseLost, TokenForgeError
from tokenforge.domain.placement import Placement
from tokenforge.store.base import Demands, Deployments, Events, Lease, Observations
from tokenforge.telemetry.control_metrics import ControlMetrics

_log = logging.getLogger(__name__)

TICK_S = 0.2
RESYNC_S = 300.0
"""How often everything is gone through though there is no news."""

_MOST_PAUSE_S = 2.0

AT_ONCE = 8
"""Deployments whose objects are sent to the API server at the same time."""


@dataclass(slots=True, kw_only=True)
class ClusterControl:
    """`lease` is control's own (None: another leads)."""

    deployments: Deployments
    observations: Observations
    events: Events
    lease: Callable[[], Lease | None]
    orchestrator: Orchestrator
    demands: Demands | None = None
    metrics: ControlMetrics | None = None
    clock: Callable[[], float] = time.time
    tick_s: float = TICK_S
    _seen: tuple[int, int, int] = (-1, -1, -1)
    _next_s: float = field(default=0.0)
    _scaled: list[tuple[Deployment, Standing | None]] = field(default_factory=list)
    _refusals: dict[DeploymentId, tuple[int, TokenForgeError]] = field(default_factory=dict)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. What runs on the cluster goes on."""
        while not stop.is_set():
            began_s = time.monotonic()
            try:
                await self.turn()
            except LeaseLost:
                _log.warning("lease lost; what the cluster does is left to who leads")
            except TokenForgeError as error:
                _log.error("a turn for the cluster failed, the next one tries again: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timeout=_pause_s(time.monotonic() - began_s, least_s=self.tick_s))

    async def turn(self) -> None:
        """One pass over everything, if there is news or something is due."""
        lease = self.lease()
        if lease is None:
            self._seen = (-1, -1, -1)
            return
        news = (lease.epoch, await self.observations.version(), self.orchestrator.version())
        if news == self._seen and self.clock() < self._next_s:
            await self._rescale(lease)
            return
        self._seen, self._next_s = news, self.clock() + RESYNC_S
        wanted = [d for d in await self.deployments.list() if d.spec.target is Placement.KUBERNETES]
        fresh = await self._apply_all(wanted)
        try:
            standings = await self.orchestrator.look()
        except TokenForgeError as error:
            self._next_s = 0.0
            await self._say_unseen(wanted, error, lease)
            return
        self._scaled = [(d, standings.get(d.id)) for d in wanted if d.spec.autoscale is not None and not d.is_deleting]
        demands = await self._demands()
        for deployment in wanted:
            is_new, demand = deployment.id in fresh, demands.get(deployment.id)
            await self._settle(deployment, standings.get(deployment.id), lease, is_new=is_new, demand=demand)
        await self._clear({d.id for d in wanted}, set(standings))

    async def _demands(self) -> Mapping[DeploymentId, Demand]:
        """What gateways are asked for, read where a deployment scales by it."""
        return await self.demands.all() if self._scaled and self.demands is not None else {}

    async def _rescale(self, lease: Lease) -> None:
        """There is no other news, but demand may be another: decide again for those that scale."""
        demands = await self._demands()
        for deployment, standing in self._scaled:
            await self._settle(deployment, standing, lease, is_new=False, demand=demands.get(deployment.id))

    async def _apply_all(self, wanted: list[Deployment]) -> set[DeploymentId]:
        """Apply those that may be tried now; which of them were refused just now."""
        due = [d for d in wanted if not d.is_deleting and self._is_due(d)]
        later = [d.observed.retry_at_s for d in wanted if not d.is_deleting and not self._is_due(d)]
        self._next_s = min([self._next_s, *later])
        places = asyncio.Semaphore(AT_ONCE)
        refused: set[DeploymentId] = set()

        async def apply(deployment: Deployment) -> None:
            async with places:
                try:
                    await self.orchestrator.apply(deployment)
                except TokenForgeError as error:
                    self._refusals[deployment.id] = (deployment.generation, error)
                    refused.add(deployment.id)
                else:
                    self._refusals.pop(deployment.id, None)

        await asyncio.gather(*(apply(deployment) for deployment in due))
        return refused

    def _is_due(self, deployment: Deployment) -> bool:
        """Whether it may be tried: the last try went well, was of another generation, or is long enough ago."""
        generation, _ = self._refusals.get(deployment.id, (0, None))
        return generation != deployment.generation or self.clock() >= deployment.observed.retry_at_s

    async def _settle(
        self, deployment: Deployment, standing: Standing | None, lease: Lease, *, is_new: bool,
        demand: Demand | None = None,
    ) -> None:  # fmt: skip
        refusal = self._refusals.get(deployment.id, (0, None))[1]
        now_s = self.clock()
        world = ClusterWorld(
            standing=standing, refusal=refusal, is_new=is_new, now_s=now_s, now=time_text(now_s), demand=demand
        )  # fmt: skip
        decision = settle(deployment, world)
        teller = Teller(observations=self.observations, events=self.events, metrics=self.metrics)
        await teller.observed(deployment, decision.observed, lease=lease)
        if refusal is not None:
            self._next_s = min(self._next_s, decision.observed.retry_at_s)
        for action in decision.actions:
            if isinstance(action, Withdraw):
                await self.orchestrator.remove(deployment.id)
            elif isinstance(action, Remove):
                self._refusals.pop(deployment.id, None)
                await teller.removed(deployment, lease=lease, message="no object is left on the cluster")

    async def _say_unseen(self, wanted: list[Deployment], error: TokenForgeError, lease: Lease) -> None:
        """Nothing could be looked at yet: say why of those that nothing is known of, and leave the others."""
        for deployment in wanted:
            if not deployment.observed.replicas and not deployment.is_deleting:
                self._refusals[deployment.id] = (deployment.generation, error)
                await self._settle(deployment, None, lease, is_new=True)

    async def _clear(self, wanted: set[DeploymentId], there: set[DeploymentId]) -> None:
        """End what belongs to no deployment any more."""
        for identity in there - wanted:
            with contextlib.suppress(ClusterUnreachable):
                await self.orchestrator.remove(identity)


def _pause_s(turn_s: float, *, least_s: float) -> float:
    """Long turns are followed by long pauses, so that news without end do not take more than a fifth of the time."""
    return max(least_s, min(_MOST_PAUSE_S, 4.0 * turn_s))
