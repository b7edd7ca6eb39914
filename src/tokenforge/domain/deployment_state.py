"""What is seen of a Deployment: its phase, its replicas, and conditions that name a cause."""

import enum
from dataclasses import dataclass

from tokenforge.domain.generation import RuntimeInfo


class Phase(enum.StrEnum):
    """A deployment's life in one word.

    `degraded`: some replicas serve, fewer than wanted. `failed`: none serves and the last try went wrong; tries go on,
    further and further apart. `stopped`: no replica is wanted. `idle`: none is, until a request comes.
    """

    PENDING = "pending"
    PREPARING = "preparing"
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"
    FAILED = "failed"
    STOPPED = "stopped"
    IDLE = "idle"
    DELETING = "deleting"


_ALIVE = frozenset(Phase) - {Phase.PENDING}
_STEPS: dict[Phase, frozenset[Phase]] = {
    Phase.PENDING: _ALIVE - {Phase.READY, Phase.DEGRADED},
    Phase.PREPARING: _ALIVE - {Phase.READY},
    Phase.STARTING: _ALIVE,
    Phase.READY: _ALIVE,
    Phase.DEGRADED: _ALIVE,
    Phase.FAILED: _ALIVE - {Phase.READY},
    Phase.STOPPED: _ALIVE - {Phase.READY},
    Phase.IDLE: _ALIVE - {Phase.READY},
    Phase.DELETING: frozenset({Phase.DELETING}),
}


def can_step(now: Phase, then: Phase) -> bool:
    """Whether a deployment may go from `now` to `then`. Nothing leaves `deleting`; staying is always a step."""
    return then == now or then in _STEPS[now]


class ReplicaPhase(enum.StrEnum):
    """Where one worker of a deployment stands. `silent`: it lives, served, and does not answer."""

    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    SILENT = "silent"
    DRAINING = "draining"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One worker. `template` tells which spec it was made from; `url` is empty until it listens.

    `info` is what its engine said of itself, once it is ready; `ready_since_s` (Unix) when that was first seen, or 0.
    `gpus` are the UUIDs of those it was given.
    """

    id: str
    template: str
    phase: ReplicaPhase
    url: str = ""
    info: RuntimeInfo | None = None
    ready_since_s: float = 0.0
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that is so, or is not, and why.

    `type` is `Prepared`, `Ready`, `Healthy` or, with autoscale, `Scaled`; `reason` one word for programs; `message` a
    sentence for people; `since` (RFC 3339) when `is_true` or `reason` last changed; `last_words` the final lines of a
    worker's log.
    """

    type: str
    is_true: bool
    reason: str
    message: str
    since: str
    last_words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """What autoscale has come to: how many `replicas` are wanted, and the demand that it has to remember for that.

    `reason` is one word and `why` a sentence for the last change, at `changed_at_s` (times are Unix seconds). Since
    `fewer_since_s` (0: not now) fewer would do, `fewer` at most. `busy_at_s` is when a request was last known to be
    there, to about a twentieth of the idle time, so that it need not be written with each.
    """

    replicas: int
    reason: str = ""
    why: str = ""
    changed_at_s: float = 0.0
    fewer_since_s: float = 0.0
    fewer: int = 0
    busy_at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What control saw last. `generation` is the one that it acted for.

    `failures` counts worker or preparation failures in a row; no new try before `retry_at_s` (Unix seconds).
    `healthy_since_s` is when all replicas were last seen to become ready; 0 when they are not. `scaling` is there with
    autoscale alone.
    """

    generation: int = 0
    phase: Phase = Phase.PENDING
    conditions: tuple[Condition, ...] = ()
    replicas: tuple[Replica, ...] = ()
    failures: int = 0
    retry_at_s: float = 0.0
    healthy_since_s: float = 0.0
    scaling: Scaling | None = None

    @property
    def is_ready(self) -> bool:
        """Whether it serves with all its replicas."""
        return self.phase is Phase.READY

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type, None when it was never set."""
        return next((condition for condition in self.conditions if condition.type == kind), None)
