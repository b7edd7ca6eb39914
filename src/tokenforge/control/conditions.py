"""Conditions: what is so of a deployment, in one word for programs and one sentence for people, with the cause."""

from dataclasses import dataclass, replace

from tokenforge.cluster.base import Sighting
from tokenforge.control.decision import Preparation, PreparationStatus, World
from tokenforge.domain.deployment_state import Condition, Observed, Phase, Scaling
from tokenforge.domain.errors import EnvironmentFailed, TokenForgeError, WorkerFailed

_REASONS = {
    "not_found": "ModelNotFound",
    "not_enough_memory": "NotEnoughMemory",
    "insufficient_gpu": "InsufficientGPU",
    "environment_failed": "EnvironmentFailed",
    "port_in_use": "PortInUse",
    "invalid_input": "InvalidSpec",
    "engine_error": "EngineFailed",
    "engine_dead": "EngineDied",
    "worker_failed": "WorkerFailed",
    "target_unreachable": "TargetUnreachable",
    "unschedulable": "Unschedulable",
    "image_pull_failed": "ImagePullFailed",
    "container_refused": "ContainerRefused",
    "model_not_fetched": "ModelNotFetched",
    "out_of_memory": "OutOfMemory",
    "crashed": "WorkerDied",
    "pod_failed": "WorkerDied",
    "probe_failed": "ProbeFailed",
    "quota_exceeded": "QuotaExceeded",
    "admission_refused": "AdmissionRefused",
    "cluster_forbidden": "ClusterForbidden",
    "cluster_refused": "ClusterRefused",
    "conflict": "ClusterRefused",
    "cluster_unreachable": "ClusterUnreachable",
}
_SIGKILL = "killed by SIGKILL"
_ENGINE_GONE = ("EngineDied", "EngineFailed")
_OUT_OF_MEMORY = ("out of memory", "cannot allocate memory", "MemoryError")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What went wrong. `had_served`: a worker that served for a good while, so a new one may be tried at once.

    `was_killed`: it ended without a word, as one does that is killed from outside. `is_from_outside`: it was SIGKILL
    (or nobody saw what), and not for want of memory, so trying again harms nobody.
    """

    reason: str
    message: str
    last_words: tuple[str, ...] = ()
    had_served: bool = False
    was_killed: bool = False
    is_from_outside: bool = False


def worker_trouble(worker: Sighting, *, had_served: bool) -> Trouble:
    """Why a worker that nobody stopped is gone."""
    cause = worker.cause or (f"its worker {worker.ending}" if worker.ending else "its worker ended")
    reason = _REASONS.get(worker.code or "", "WorkerDied" if worker.cause is None else "EngineFailed")
    is_killed = _SIGKILL in worker.ending
    if any(sign in f"{cause} {' '.join(worker.last_words)}" for sign in _OUT_OF_MEMORY):
        reason = "OutOfMemory"
    elif worker.oom_kills and (is_killed or reason in _ENGINE_GONE):
        reason, cause = "OutOfMemory", f"{cause}: memory ran out, and the kernel killed for it"
    elif is_killed and worker.cause is None:
        cause = f"{cause}, not by the kernel for want of memory: somebody sent it"
    was_killed = worker.cause is None and not worker.is_alive
    return Trouble(
        reason=reason,
        message=cause,
        last_words=worker.last_words,
        had_served=had_served,
        was_killed=was_killed,
        is_from_outside=was_killed and reason != "OutOfMemory" and (is_killed or not worker.ending),
    )


def silence_trouble(name: str, world: World, *, had_served: bool) -> Trouble:
    """What is said of a worker that lives and does not answer, and of its end once it is given up."""
    if name in world.hung:
        message = f"worker {name} lives but did not answer for {world.silence_limit_s:g} s; it is killed and replaced"
        return Trouble(reason="WorkerHung", message=message, had_served=had_served)
    message = f"worker {name} lives but does not answer; it gets no requests until it does"
    return Trouble(reason="WorkerSilent", message=message, had_served=had_served)


def preparation_trouble(error: TokenForgeError) -> Trouble:
    """Why a worker could not even be launched."""
    last_words = error.last_words if isinstance(error, EnvironmentFailed | WorkerFailed) else ()
    reason = _REASONS.get(error.code, "PreparationFailed")
    return Trouble(reason=reason, message=" ".join(str(error).split()), last_words=last_words)


def conditions_of(
    phase: Phase,
    *,
    before: Observed,
    wanted: int,
    ready: int,
    preparation: Preparation | None,
    trouble: Trouble | None,
    failures: int,
    now: str,
    is_updating: bool,
    scaling: Scaling | None = None,
    silent: Trouble | None = None,
    is_limited: bool = False,
    waits_for_cards: bool = False,
) -> tuple[Condition, ...]:
    """`Ready`, `Prepared`, `Healthy` and `Scaled`, each keeping its time while it stays as it was."""
    healthy = _healthy(before, trouble or silent, failures=failures)
    limit = "; no more may run beside those of other deployments (TOKENFORGE_MOST_REPLICAS)" if is_limited else ""
    waiting = ", and the next one waits for the GPUs of one that gives way" if waits_for_cards else ""
    count = f"{ready} of {wanted} replicas serve{limit if scaling is None else ''}{waiting}"
    fresh = [
        _ready(phase, count=count, is_updating=is_updating, healthy=healthy),
        _prepared(preparation, ready=ready),
        healthy,
    ]
    if scaling is not None:
        text = (scaling.why or f"{scaling.replicas} to begin with") + limit
        fresh.append(_condition("Scaled", is_true=True, reason=scaling.reason or "Begun", message=text))
    return tuple(_dated(condition, before=before, now=now) for condition in fresh)


def _ready(phase: Phase, *, count: str, is_updating: bool, healthy: Condition) -> Condition:
    if phase is Phase.READY:
        return _condition("Ready", is_true=True, reason="Ready", message=count)
    if phase is Phase.IDLE:
        return _condition("Ready", is_true=False, reason="Idle", message="no replica runs; the next request starts one")
    if phase is Phase.STOPPED:
        return _condition("Ready", is_true=False, reason="Stopped", message="no replica is wanted")
    if phase is Phase.FAILED:
        return _condition(
            "Ready", is_true=False, reason=healthy.reason, message=f"{count}: {healthy.message}",
            last_words=healthy.last_words,
        )  # fmt: skip
    if is_updating:
        message = f"{count} in the newest revision; those of the one before serve on"
        return _condition("Ready", is_true=False, reason="Updating", message=message)
    return _condition("Ready", is_true=False, reason=phase.value.capitalize(), message=count)


def _prepared(preparation: Preparation | None, *, ready: int) -> Condition:
    if preparation is None or preparation.status is PreparationStatus.DONE or ready:
        is_done = preparation is not None or ready > 0
        text = "model and environment are there" if is_done else "not needed yet"
        return _condition("Prepared", is_true=is_done, reason="Prepared" if is_done else "Waiting", message=text)
    if preparation.error is not None:
        trouble = preparation_trouble(preparation.error)
        return _condition(
            "Prepared", is_true=False, reason=trouble.reason, message=trouble.message, last_words=trouble.last_words
        )
    return _condition("Prepared", is_true=False, reason="Preparing", message=preparation.step or "begins")


def _healthy(before: Observed, trouble: Trouble | None, *, failures: int) -> Condition:
    if trouble is not None:
        return _condition(
            "Healthy", is_true=False, reason=trouble.reason, message=trouble.message, last_words=trouble.last_words
        )
    known = before.condition("Healthy")
    if failures and known is not None and not known.is_true:
        return known
    return _condition("Healthy", is_true=True, reason="Healthy", message="no recent failure")


def _condition(kind: str, *, is_true: bool, reason: str, message: str, last_words: tuple[str, ...] = ()) -> Condition:
    return Condition(type=kind, is_true=is_true, reason=reason, message=message, since="", last_words=last_words)


def _dated(condition: Condition, *, before: Observed, now: str) -> Condition:
    known = before.condition(condition.type)
    is_same = known is not None and (known.is_true, known.reason) == (condition.is_true, condition.reason)
    return replace(condition, since=known.since if known is not None and is_same else now)
