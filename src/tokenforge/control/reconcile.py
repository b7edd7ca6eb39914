"""The decision of control, as one pure function: desired and seen in, actions and what to say out.

It is level-triggered: it knows no history but what is in its arguments, so it may be called at any moment, by any
process, as often as one likes. New replicas of a changed spec must serve before those of the old one are stopped.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from tokenforge.cluster.base import Sighting
from tokenforge.control.autoscale import Look, begin, decide
from tokenforge.control.cards import hold_of
from tokenforge.control.conditions import Trouble, conditions_of, preparation_trouble, silence_trouble, worker_trouble
from tokenforge.control.decision import (
    TEMPLATE_LABEL,
    Action,
    Decision,
    Forget,
    Preparation,
    PreparationStatus,
    Prepare,
    Remove,
    Start,
    Stop,
    World,
)
from tokenforge.control.giving_way import lack_of_cards
from tokenforge.domain.deployment import Deployment
from tokenforge.domain.deployment_state import Observed, Phase, Replica, ReplicaPhase, Scaling, can_step
from tokenforge.protocol.worker_spec import WorkerPhase

CALM_S = 30.0
"""How long all replicas must serve until earlier failures are forgotten."""

MOST_BACK_OFF_S = 60.0

STEADY_S = 3.0
"""Who served for so long died of something else than its start: it is replaced at once."""

MOST_KILLED_BACK_OFF_S = 4.0
"""Who is killed from outside, however often, is back within seconds: the next one may live."""

FREE_KILLS = 2
"""So many in a row that ended without a word are replaced at once too, also while they come up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """The workers of one deployment, sorted by what they mean to it now."""

    dead: tuple[Sighting, ...]
    failed: tuple[Sighting, ...]
    leaving: tuple[Sighting, ...]
    current: tuple[Sighting, ...]
    old: tuple[Sighting, ...]
    silent: Collection[str]

    @property
    def ready(self) -> tuple[Sighting, ...]:
        return tuple(worker for worker in self.current if self.is_ready(worker))

    def is_ready(self, worker: Sighting) -> bool:
        return worker.phase is WorkerPhase.READY and worker.name not in self.silent

    @property
    def serving(self) -> int:
        return len(self.ready) + sum(self.is_ready(worker) for worker in self.old)


def reconcile(deployment: Deployment, world: World) -> Decision:
    """What to do next for one deployment."""
    world = replace(world, preparation=_preparation_for(deployment.spec.template, world))
    scene = _sort(deployment.spec.template, world)
    if deployment.is_deleting:
        return _wind_down(deployment, scene, world)
    known = replace(heard(deployment), scaling=_scaling(deployment, world))
    wanted = deployment.spec.replicas if known.scaling is None else known.scaling.replicas
    trouble = _trouble(scene, world, before=known)
    before = _counted(known, trouble, scene, world, wanted=wanted)
    allowed = wanted if world.most is None else min(wanted, world.most)
    starting = _start(deployment, scene, world, before, wanted=allowed)
    lack = lack_of_cards(
        world, missing=allowed - len(scene.current), starting=len(starting), old=scene.old,
        leaving=(*scene.leaving, *scene.failed),
        is_calm=len(scene.ready) == len(scene.current) and not (before.failures and not scene.ready),
    )  # fmt: skip
    stopping = (
        *(Stop(worker.name) for worker in scene.failed), *_overdue(scene, world), *_retire(scene, wanted=allowed),
        *map(Stop, lack.giving_way),
    )  # fmt: skip
    is_starting = any(isinstance(action, Start) for action in starting)
    phase = _phase(
        deployment, scene, world, observed=before, is_starting=is_starting, wanted=wanted,
        is_short=lack.trouble is not None,
    )  # fmt: skip
    observed = replace(
        before,
        generation=deployment.generation,
        phase=phase,
        replicas=_replicas(scene, world, before=deployment.observed, stopping={stop.name for stop in stopping}),
        conditions=conditions_of(
            phase, before=deployment.observed, scaling=before.scaling, wanted=wanted, ready=len(scene.ready),
            preparation=world.preparation, trouble=trouble, failures=before.failures, now=world.now,
            is_updating=bool(scene.old), silent=_first_silent(scene, world) or lack.trouble,
            waits_for_cards=lack.is_passing,
            is_limited=allowed < wanted or _is_at_most(deployment, world, wanted),
        ),
    )  # fmt: skip
    forgetting = (Forget(worker.name) for worker in scene.dead)
    return Decision(actions=(*forgetting, *stopping, *starting), observed=observed)


def heard(deployment: Deployment) -> Observed:
    """What was observed; a spec that changed since then is tried at once, whatever failed before."""
    observed = deployment.observed
    return observed if observed.generation == deployment.generation else replace(observed, failures=0, retry_at_s=0.0)


def _is_at_most(deployment: Deployment, world: World, wanted: int) -> bool:
    """Whether demand could have had more, were there no other deployments."""
    rule = deployment.spec.autoscale
    return rule is not None and world.most is not None and wanted > 0 and world.most <= wanted < rule.max


def _first_silent(scene: _Scene, world: World) -> Trouble | None:
    """The silence of one that is not given up yet."""
    silent = sorted(w.name for w in (*scene.current, *scene.old) if w.name in scene.silent)
    return silence_trouble(silent[0], world, had_served=True) if silent else None


def back_off_s(failures: int) -> float:
    """How long to wait after so many failures in a row: 1, 2, 4, ... up to a minute."""
    return min(MOST_BACK_OFF_S, 2.0 ** min(16, max(0, failures - 1)))


def _scaling(deployment: Deployment, world: World) -> Scaling | None:
    """How many replicas demand asks for; None where their number is the user's."""
    spec, observed = deployment.spec, deployment.observed
    if spec.autoscale is None:
        return None
    before = observed.scaling or begin(spec.autoscale, replicas=spec.replicas, now_s=world.now_s)
    look = Look(
        now_s=world.now_s, demand=world.demand, healthy_since_s=observed.healthy_since_s, most=world.most
    )  # fmt: skip
    return decide(spec.autoscale, before, look)


def _sort(template: str, world: World) -> _Scene:
    alive = [worker for worker in world.sightings if worker.is_alive]
    leaving = [w for w in alive if w.stopping_since_s is not None or w.phase is WorkerPhase.DRAINING]
    failed = [w for w in alive if w not in leaving and w.phase is WorkerPhase.FAILED]
    rest = [w for w in alive if w not in leaving and w not in failed]
    return _Scene(
        dead=tuple(worker for worker in world.sightings if not worker.is_alive),
        failed=tuple(failed),
        leaving=tuple(leaving),
        current=tuple(w for w in rest if w.labels.get(TEMPLATE_LABEL) == template),
        old=tuple(w for w in rest if w.labels.get(TEMPLATE_LABEL) != template),
        silent=world.silent,
    )


def _wind_down(deployment: Deployment, scene: _Scene, world: World) -> Decision:
    """Stop everything; when nothing is left, remove."""
    actions: list[Action] = [Forget(worker.name) for worker in scene.dead]
    actions += _overdue(scene, world)
    actions += [Stop(worker.name) for worker in (*scene.current, *scene.old, *scene.failed)]
    if not world.sightings:
        actions.append(Remove())
    replicas = _replicas(scene, world, before=deployment.observed)
    observed = replace(deployment.observed, phase=Phase.DELETING, replicas=replicas, healthy_since_s=0.0)
    return Decision(actions=tuple(actions), observed=observed)


def _trouble(scene: _Scene, world: World, *, before: Observed) -> Trouble | None:
    """What went wrong since the last look: a worker that died unasked, or a preparation that failed."""
    served = {r.id for r in before.replicas if r.ready_since_s and world.now_s - r.ready_since_s >= STEADY_S}
    for worker in (*scene.failed, *scene.dead):
        if worker.stopping_since_s is None:
            return worker_trouble(worker, had_served=worker.name in served)
    late = [w for w in scene.current if _is_late(w, world)]
    if late:
        return Trouble(
            reason="StartTimeout",
            message=f"worker {late[0].name} was not ready after {world.start_limit_s:g} s",
            last_words=late[0].last_words,
        )
    hung = [w.name for w in (*scene.current, *scene.old) if w.name in world.hung]
    if hung:
        return silence_trouble(hung[0], world, had_served=hung[0] in served)
    preparation = world.preparation
    if preparation is not None and preparation.error is not None and preparation.ended_at_s >= before.retry_at_s:
        return preparation_trouble(preparation.error)
    return None


def _counted(before: Observed, trouble: Trouble | None, scene: _Scene, world: World, *, wanted: int) -> Observed:
    """Failures in a row and the time of the next try."""
    is_whole = len(scene.ready) >= wanted
    since = (before.healthy_since_s or world.now_s) if is_whole else 0.0
    if trouble is not None:
        failures = 1 if trouble.had_served else before.failures + 1
        is_free = trouble.had_served or (trouble.was_killed and failures <= FREE_KILLS)
        most_s = MOST_KILLED_BACK_OFF_S if trouble.is_from_outside else MOST_BACK_OFF_S
        wait_s = 0.0 if is_free else min(most_s, back_off_s(failures))
        return replace(before, failures=failures, retry_at_s=world.now_s + wait_s, healthy_since_s=0.0)
    if is_whole and world.now_s - since >= CALM_S:
        return replace(before, failures=0, retry_at_s=0.0, healthy_since_s=since)
    return replace(before, healthy_since_s=since)


def _start(
    deployment: Deployment, scene: _Scene, world: World, observed: Observed, *, wanted: int
) -> tuple[Action, ...]:
    """Launch what is missing, once it is prepared and no failure asks to wait."""
    missing = wanted - len(scene.current)
    if missing <= 0 or world.now_s < observed.retry_at_s:
        return ()
    template = deployment.spec.template
    preparation = world.preparation
    if preparation is None or preparation.status is PreparationStatus.FAILED:
        return (Prepare(template),)
    if preparation.status is not PreparationStatus.DONE:
        return ()
    return (Start(template),) * (missing if world.cards is None else world.cards.room(missing))


def _preparation_for(template: str, world: World) -> Preparation | None:
    preparation = world.preparation
    return preparation if preparation is not None and preparation.template == template else None


def _retire(scene: _Scene, *, wanted: int) -> list[Stop]:
    """Those too many (not ready ones first, then the youngest), and those of an older spec once the new ones serve."""
    by_worth = sorted(scene.current, key=lambda w: (not scene.is_ready(w), w.launched_at_s))
    retired = [Stop(worker.name) for worker in by_worth[wanted:]]
    if len(scene.ready) >= wanted:
        retired += [Stop(worker.name) for worker in scene.old]
    return retired


def _overdue(scene: _Scene, world: World) -> list[Stop]:
    """Kill those that were asked long ago, those that never came up, and those that do not answer."""
    drained = [
        w for w in scene.leaving
        if w.stopping_since_s is not None and world.now_s - w.stopping_since_s > world.stop_limit_s
    ]  # fmt: skip
    late = [w for w in scene.current if _is_late(w, world)]
    hung = [w for w in (*scene.current, *scene.old) if w.name in world.hung]
    return [Stop(worker.name, is_forced=True) for worker in (*drained, *late, *hung)]


def _is_late(worker: Sighting, world: World) -> bool:
    is_coming = worker.phase in (WorkerPhase.STARTING, WorkerPhase.LOADING)
    return is_coming and world.now_s - worker.launched_at_s > world.start_limit_s


def _phase(
    deployment: Deployment,
    scene: _Scene,
    world: World,
    *,
    observed: Observed,
    is_starting: bool,
    wanted: int,
    is_short: bool,
) -> Phase:
    if wanted == 0:
        phase = Phase.STOPPED if deployment.spec.autoscale is None else Phase.IDLE
    elif len(scene.ready) >= wanted:
        phase = Phase.READY
    elif scene.serving:
        phase = Phase.DEGRADED
    elif scene.current or is_starting:
        phase = Phase.STARTING
    elif is_short or (observed.failures and world.now_s < observed.retry_at_s):
        phase = Phase.FAILED
    else:
        phase = Phase.PREPARING
    return phase if can_step(deployment.observed.phase, phase) else Phase.STARTING


def _replicas(scene: _Scene, world: World, *, before: Observed, stopping: Collection[str] = ()) -> tuple[Replica, ...]:
    """All that live. Those that will be stopped are said to drain before they are told, so that gateways know first."""
    since = {replica.id: replica.ready_since_s for replica in before.replicas}
    leaving = {*(worker.name for worker in scene.leaving), *stopping}
    return tuple(
        Replica(
            id=worker.name,
            template=worker.labels.get(TEMPLATE_LABEL, ""),
            phase=_replica_phase(worker, scene, leaving),
            url=worker.url,
            info=worker.info,
            ready_since_s=0.0 if worker.info is None else since.get(worker.name) or world.now_s,
            gpus=() if (hold := hold_of(worker.name, worker.labels)) is None else hold.cards,
        )
        for worker in sorted((*scene.current, *scene.old, *scene.failed, *scene.leaving), key=lambda w: w.name)
    )


def _replica_phase(worker: Sighting, scene: _Scene, leaving: Collection[str]) -> ReplicaPhase:
    if worker.name in leaving:
        return ReplicaPhase.DRAINING
    return ReplicaPhase.SILENT if worker.name in scene.silent else ReplicaPhase(worker.phase.value)
