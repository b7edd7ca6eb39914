"""The loop of control: hold the lease, look, decide, act, say; again a few times a second.

It keeps nothing that a restart would miss: what is wanted and what was seen are in the store, workers are found by
looking. Every write carries the lease, so a process that was frozen past it changes nothing when it wakes.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tokenforge.cluster.base import Fleet, Launch, Sighting
from tokenforge.control.budget import Budget
from tokenforge.control.card_table import CardTable, ReadCards, with_cards
from tokenforge.control.cards import CardView, labels_of
from tokenforge.control.decision import (
    DEPLOYMENT_LABEL,
    START_LIMIT_S,
    TEMPLATE_LABEL,
    Action,
    Forget,
    Prepare,
    Remove,
    Start,
    Stop,
    World,
)
from tokenforge.control.preparations import Preparations
from tokenforge.control.prepare import require_free
from tokenforge.control.probes import Probes
from tokenforge.control.reconcile import reconcile
from tokenforge.control.telling import Teller, time_text
from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import Deployment, DeploymentId
from tokenforge.domain.deployment_state import Observed
from tokenforge.domain.errors import LeaseLost, NotEnoughMemory, TokenForgeError
from tokenforge.domain.observing import Observing
from tokenforge.domain.placement import Placement
from tokenforge.domain.worker import WorkerSpec
from tokenforge.protocol.worker_spec import WorkerPhase
from tokenforge.store.base import Demands, Deployments, Events, Lease, Leases, Observations
from tokenforge.telemetry.control_metrics import ControlMetrics

_log = logging.getLogger(__name__)
_COMING = (WorkerPhase.STARTING, WorkerPhase.LOADING)

LEASE_NAME = "control"
TICK_S = 0.2
LEASE_TTL_S = 4.0
MAX_WAITING = 1024
MAX_STARTING = 4
"""Workers that may come up at once on one machine: each imports an engine and reads weights."""

DRAIN_S = 30.0
SILENCE_LIMIT_S = 30.0
MOST_REPLICAS = 1024
_END_S = 30.0
"""How long a worker may take to end once it has drained."""


@dataclass(slots=True, kw_only=True)
class Control:
    """One control process. `new_id` makes the unique part of worker names.

    `drain_s`: how long requests of a stopped worker may go on. `free_bytes`: memory that a new worker can still take.
    `most_replicas`: what all deployments may have together. `silence_limit_s`: how long a worker may leave the
    questions of `probes` unanswered until it is replaced. `read_cards` tells of the GPUs that replicas are given,
    None where none are.
    """

    deployments: Deployments
    observations: Observations
    events: Events
    demands: Demands
    leases: Leases
    fleet: Fleet
    preparations: Preparations
    owner: str
    new_id: Callable[[], str]
    free_bytes: Callable[[], float]
    drain_s: float = DRAIN_S
    start_limit_s: float = START_LIMIT_S
    most_replicas: int = MOST_REPLICAS
    silence_limit_s: float = SILENCE_LIMIT_S
    probes: Probes | None = None
    read_cards: ReadCards | None = None
    clock: Callable[[], float] = time.time
    tick_s: float = TICK_S
    lease_ttl_s: float = LEASE_TTL_S
    lease: Lease | None = None
    metrics: ControlMetrics | None = None
    observing: Observing = field(default_factory=Observing)
    _renewed_s: float = field(default=0.0)
    _starting: int = field(default=0)
    _silent_s: Mapping[str, float] = field(default_factory=dict)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. Workers are left as they are: they belong to the machine, not to this process."""
        while not stop.is_set():
            try:
                await self.turn()
            except LeaseLost:
                _log.warning("lease lost; waiting for it again")
                self.lease = None
                self._failed(LeaseLost.code)
            except TokenForgeError as error:
                _log.error("a turn failed, the next one tries again: %s", error)
                self._failed(error.code)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), timeout=self.tick_s)
        if self.lease is not None:
            await self.leases.release(self.lease)

    async def turn(self) -> None:
        """One look at everything, and what follows from it; nothing while another process leads."""
        began_s = time.monotonic()
        lease = await self._lead()
        if lease is None:
            if self.metrics is not None:
                self.metrics.stood_by()
            return
        sightings = await self.fleet.look()
        self._starting = sum(worker.is_alive and worker.phase in _COMING for worker in sightings)
        deployments = await self.deployments.list()
        by_deployment = _by_deployment(sightings)
        here = [deployment for deployment in deployments if deployment.spec.target is Placement.LOCAL]
        demands = await self._demands(here)
        self._silent_s = {} if self.probes is None else self.probes.look(sightings)
        budget = Budget(here, self.most_replicas)
        table = CardTable(self.read_cards, sightings)
        for deployment in here:
            demand = demands.get(deployment.id)
            scene = _Seen(by_deployment.pop(deployment.id, []), demand, budget.room(deployment), table)
            observed = await self._reconcile(deployment, scene, lease)
            budget.grant(deployment, replace(deployment, observed=observed).wanted)
        await self._clear(by_deployment)
        if self.metrics is not None:
            self.metrics.turned(deployments, duration_s=time.monotonic() - began_s)

    def _failed(self, code: str) -> None:
        if self.metrics is not None:
            self.metrics.turn_failed(code)

    async def _lead(self) -> Lease | None:
        """The lease, prolonged when a quarter of it has passed."""
        now = time.monotonic()
        if self.lease is not None and now - self._renewed_s < self.lease_ttl_s / 4:
            return self.lease
        before = self.lease
        self.lease = await self.leases.acquire(LEASE_NAME, owner=self.owner, ttl_s=self.lease_ttl_s)
        self._renewed_s = now
        if self.lease is not None and (before is None or before.epoch != self.lease.epoch):
            _log.info("leading, epoch %d", self.lease.epoch)
        return self.lease

    async def _demands(self, deployments: Sequence[Deployment]) -> Mapping[DeploymentId, Demand]:
        """What gateways are asked for, read where a deployment scales by it."""
        is_needed = any(deployment.spec.autoscale is not None for deployment in deployments)
        return await self.demands.all() if is_needed else {}

    async def _reconcile(self, deployment: Deployment, seen: "_Seen", lease: Lease) -> Observed:
        world = World(
            sightings=seen.sightings,
            preparation=self.preparations.state(deployment.id),
            now_s=self.clock(),
            now=time_text(self.clock()),
            stop_limit_s=self.drain_s + _END_S,
            demand=seen.demand,
            most=seen.most,
            start_limit_s=self.start_limit_s,
            silent_s=self._silent_s,
            silence_limit_s=self.silence_limit_s,
            cards=self._cards(deployment, seen.table),
        )
        decision = reconcile(deployment, world)
        await self._teller().observed(deployment, decision.observed, lease=lease)
        for action in decision.actions:
            await self._act(deployment, action, lease, seen.table)
        return decision.observed

    def _cards(self, deployment: Deployment, table: CardTable) -> CardView | None:
        """This machine's GPUs as the deployment sees them, once it is known what it asks."""
        try:
            prepared = self.preparations.prepared(deployment.id, deployment.spec.template)
        except KeyError:
            return None
        return table.view(deployment.id, prepared.cards)

    async def _act(self, deployment: Deployment, action: Action, lease: Lease, table: CardTable) -> None:
        if isinstance(action, Prepare):
            self.preparations.begin(deployment)
        elif isinstance(action, Start):
            await self._start(deployment, action.template, table)
        elif isinstance(action, Stop):
            await self.fleet.stop(action.name, is_forced=action.is_forced)
        elif isinstance(action, Forget):
            await self.fleet.forget(action.name)
        elif isinstance(action, Remove):
            self.preparations.forget(deployment.id)
            await self._teller().removed(deployment, lease=lease, message="no worker is left")

    def _teller(self) -> Teller:
        return Teller(observations=self.observations, events=self.events, metrics=self.metrics)

    async def _start(self, deployment: Deployment, template: str, table: CardTable) -> None:
        try:
            prepared = self.preparations.prepared(deployment.id, template)
        except KeyError:
            self.preparations.begin(deployment)
            return
        if self._starting >= MAX_STARTING:
            return  # the next turn asks again
        try:
            require_free(prepared, free_bytes=self.free_bytes(), coming=self._starting)
        except NotEnoughMemory as error:
            self.preparations.fail(deployment, error)
            return
        name = f"{deployment.spec.name}-{self.new_id()}"
        given = None
        if (view := self._cards(deployment, table)) is not None:
            given = table.give(name, view)
            if given is None:
                return  # somebody was sooner in this turn; the next one tells
        self._starting += 1
        spec = WorkerSpec(
            name=name, runtime=prepared.runtime, max_waiting=MAX_WAITING, drain_s=self.drain_s, observing=self.observing
        )
        launch = Launch(spec=spec, python=prepared.python, process_env=prepared.process_env)
        labels = {DEPLOYMENT_LABEL: deployment.id, TEMPLATE_LABEL: template}
        if given is not None:
            launch, labels = with_cards(launch, given), labels | labels_of(given.hold)
        try:
            await self.fleet.launch(launch, labels=labels)
        except TokenForgeError as error:
            _log.error("%s", error)
            self.preparations.fail(deployment, error)
            return
        if self.metrics is not None:
            self.metrics.worker_started()
        on = "" if given is None else f" on GPU {', '.join(given.hold.cards)}"
        await self.events.append(deployment.id, reason="Started", message=f"worker {name}{on}")

    async def _clear(self, orphans: Mapping[DeploymentId, Sequence[Sighting]]) -> None:
        """End workers whose deployment is gone."""
        for sightings in orphans.values():
            for worker in sightings:
                if not worker.is_alive:
                    await self.fleet.forget(worker.name)
                elif worker.stopping_since_s is None:
                    await self.fleet.stop(worker.name, is_forced=True)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was found of one deployment: its workers, what its clients ask, how many replicas it may have; the GPUs."""

    sightings: list[Sighting]
    demand: Demand | None
    most: int
    table: CardTable


def _by_deployment(sightings: Sequence[Sighting]) -> dict[DeploymentId, list[Sighting]]:
    sorted_out: dict[DeploymentId, list[Sighting]] = {}
    for worker in sightings:
        sorted_out.setdefault(DeploymentId(worker.labels.get(DEPLOYMENT_LABEL, "")), []).append(worker)
    return sorted_out
