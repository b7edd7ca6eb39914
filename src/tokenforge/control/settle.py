"""The decision of control for a deployment that a cluster keeps: what to say of it, and whether to end it. Pure.

The cluster starts, replaces and stops pods itself, and waits between tries; here only its word is read. Ready is said
when as many pods as are wanted serve what the newest generation was made into, and of nothing older.
"""

from dataclasses import dataclass, replace

from tokenforge.cluster.base import Sighting, Standing
from tokenforge.control.autoscale import Look, begin, decide
from tokenforge.control.conditions import Trouble, conditions_of, preparation_trouble, worker_trouble
from tokenforge.control.decision import TEMPLATE_LABEL, Action, Decision, Remove, Withdraw
from tokenforge.control.reconcile import back_off_s, heard
from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import Deployment
from tokenforge.domain.deployment_state import Observed, Phase, Replica, ReplicaPhase, Scaling, can_step
from tokenforge.domain.errors import ClusterUnreachable, TokenForgeError
from tokenforge.protocol.worker_spec import WorkerPhase

MOST_UNREACHABLE_S = 5.0
"""A server that was away says nothing of the deployment: once it is back, the change is not kept waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterWorld:
    """What is there. `standing` None: nothing is. `now_s` is Unix time, `now` the same as RFC 3339.

    `refusal` is what the last try to apply ended with, None if it did not fail; `is_new`: it was just now. `demand` is
    what gateways are asked for, None while none reports.
    """

    standing: Standing | None
    refusal: TokenForgeError | None
    is_new: bool
    now_s: float
    now: str
    demand: Demand | None = None


def settle(deployment: Deployment, world: ClusterWorld) -> Decision:
    """What to say, and what to end. That its objects are applied is not decided here: it always is."""
    standing = world.standing
    if deployment.is_deleting:
        actions: tuple[Action, ...] = (Remove(),) if standing is None else (Withdraw(),)
        gone = replace(deployment.observed, phase=Phase.DELETING, replicas=_replicas(deployment, world))
        return Decision(actions=actions, observed=gone)
    current, old = _sorted(deployment, standing)
    ready = sum(pod.phase is WorkerPhase.READY for pod in current)
    serving = ready + sum(pod.phase is WorkerPhase.READY for pod in old)
    trouble = _trouble(world, current)
    scaling = _scaling(deployment, world)
    wanted = deployment.spec.replicas if scaling is None else scaling.replicas
    counted = _counted(deployment, world, trouble, is_whole=trouble is None and ready >= wanted)
    phase = _phase(deployment, wanted=wanted, ready=ready, serving=serving, has_trouble=trouble is not None)
    replicas = _replicas(deployment, world)
    observed = replace(
        counted,
        generation=deployment.generation,
        phase=phase,
        replicas=replicas,
        scaling=scaling,
        conditions=conditions_of(
            phase, before=deployment.observed, wanted=wanted, ready=ready, preparation=None, scaling=scaling,
            trouble=trouble, failures=counted.failures, now=world.now, is_updating=bool(old) and serving > 0,
        ),
    )  # fmt: skip
    return Decision(actions=(), observed=observed)


def _sorted(deployment: Deployment, standing: Standing | None) -> tuple[list[Sighting], list[Sighting]]:
    """Pods of the newest generation, and those of older ones; who is asked to end is of neither."""
    if standing is None:
        return [], []
    staying = [pod for pod in standing.pods if pod.is_alive and pod.stopping_since_s is None]
    is_newest = standing.generation == deployment.generation and not standing.is_ending
    current = [pod for pod in staying if is_newest and pod.labels.get(TEMPLATE_LABEL) == standing.template]
    return current, [pod for pod in staying if pod not in current]


def _trouble(world: ClusterWorld, current: list[Sighting]) -> Trouble | None:
    """The cause that is nearest to the root: what cannot be applied, then what makes no pod, then what stops a pod."""
    for error in (world.refusal, None if world.standing is None else world.standing.trouble):
        if error is not None:
            return preparation_trouble(error)
    failed = [pod for pod in current if pod.cause is not None]
    return worker_trouble(failed[0], had_served=False) if failed else None


def _counted(deployment: Deployment, world: ClusterWorld, trouble: Trouble | None, *, is_whole: bool) -> Observed:
    """Refused tries in a row and the time of the next one; tries of pods are the cluster's to count."""
    before = heard(deployment)
    before = replace(before, healthy_since_s=(before.healthy_since_s or world.now_s) if is_whole else 0.0)
    if world.refusal is not None and world.is_new:
        failures = before.failures + 1
        wait_s = back_off_s(failures)
        if isinstance(world.refusal, ClusterUnreachable):
            wait_s = min(wait_s, MOST_UNREACHABLE_S)
        return replace(before, failures=failures, retry_at_s=world.now_s + wait_s)
    if world.refusal is not None:
        return before
    return replace(before, failures=0 if trouble is None else max(1, before.failures), retry_at_s=0.0)


def _scaling(deployment: Deployment, world: ClusterWorld) -> Scaling | None:
    """What the cluster's autoscaler has come to; where it has none for this deployment, what demand asks for."""
    rule, standing = deployment.spec.autoscale, world.standing
    if rule is None:
        return None
    if standing is not None and standing.generation == deployment.generation and standing.scaled_by:
        why = f"the cluster's autoscaler wants {standing.replicas} by {standing.scaled_by}"
        return Scaling(replicas=standing.replicas, reason="ByCluster", why=why)
    before = deployment.observed.scaling or begin(rule, replicas=deployment.spec.replicas, now_s=world.now_s)
    if before.reason == "ByCluster":
        before = begin(rule, replicas=before.replicas, now_s=world.now_s)
    healthy_since_s = deployment.observed.healthy_since_s
    return decide(rule, before, Look(now_s=world.now_s, demand=world.demand, healthy_since_s=healthy_since_s))


def _phase(deployment: Deployment, *, wanted: int, ready: int, serving: int, has_trouble: bool) -> Phase:
    if wanted == 0:
        phase = Phase.STOPPED if deployment.spec.autoscale is None else Phase.IDLE
    elif ready >= wanted:
        phase = Phase.READY
    elif serving:
        phase = Phase.DEGRADED
    else:
        phase = Phase.FAILED if has_trouble else Phase.STARTING
    return phase if can_step(deployment.observed.phase, phase) else Phase.STARTING


def _replicas(deployment: Deployment, world: ClusterWorld) -> tuple[Replica, ...]:
    """Those of the newest generation bear the template of its spec, as workers of a machine do.

    While no other serves, one that leaves is still sent requests: it takes them for a while, and the one that comes in
    its place may be ready before it is known what its engine is.
    """
    since = {replica.id: replica.ready_since_s for replica in deployment.observed.replicas}
    pods = () if world.standing is None else world.standing.pods
    current = {pod.name for pod in _sorted(deployment, world.standing)[0]}
    is_served = deployment.is_deleting or any(pod.phase is WorkerPhase.READY for pod in pods)
    last = {pod.name for pod in pods if not is_served and pod.phase is WorkerPhase.DRAINING and pod.info is not None}
    return tuple(
        Replica(
            id=pod.name,
            template=deployment.spec.template if pod.name in current else pod.labels.get(TEMPLATE_LABEL, ""),
            phase=ReplicaPhase.READY if pod.name in last else ReplicaPhase(pod.phase.value),
            url=pod.url,
            info=pod.info,
            ready_since_s=(since.get(pod.name) or world.now_s) if pod.phase is WorkerPhase.READY else 0.0,
        )
        for pod in pods
        if pod.is_alive
    )
