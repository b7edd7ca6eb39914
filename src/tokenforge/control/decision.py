"""What a reconciliation looks at and what it decides: plain data, so that every decision can be tested by itself."""

import enum
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from tokenforge.cluster.base import Sighting
from tokenforge.control.cards import CardView
from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment_state import Observed
from tokenforge.domain.errors import TokenForgeError

DEPLOYMENT_LABEL = "deployment"
TEMPLATE_LABEL = "template"


SILENT_OUT_S = 5.0
"""Who has not answered for so long, or half of its limit, gets no more requests."""


class PreparationStatus(enum.StrEnum):
    """Whether a model and an environment are there to start workers with."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """The preparation of one template: what it is doing (`step`), or why it failed and when (`ended_at_s`, Unix)."""

    template: str
    status: PreparationStatus
    step: str = ""
    error: TokenForgeError | None = None
    ended_at_s: float = 0.0


START_LIMIT_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is there of one deployment. `now_s` is Unix time, `now` the same as RFC 3339.

    `stop_limit_s` is how long a worker may take to drain and end before it is killed, `start_limit_s` how long it may
    load its model. `demand` is what its clients ask, None while no gateway says; `most` is how many replicas it may
    have beside those of other deployments. `silent_s` tells for how long workers have not answered, and
    `silence_limit_s` how long they may. `cards` are this machine's GPUs, None where replicas need none.
    """

    sightings: Sequence[Sighting]
    preparation: Preparation | None
    now_s: float
    now: str
    stop_limit_s: float = 60.0
    demand: Demand | None = None
    most: int | None = None
    start_limit_s: float = START_LIMIT_S
    silent_s: Mapping[str, float] = field(default_factory=dict)
    silence_limit_s: float = 30.0
    cards: CardView | None = None

    @property
    def silent(self) -> Collection[str]:
        """Workers that have not answered for so long that nothing more should be asked of them."""
        out_s = min(SILENT_OUT_S, self.silence_limit_s / 2)
        return {name for name, silence_s in self.silent_s.items() if silence_s >= out_s}

    @property
    def hung(self) -> Collection[str]:
        """Those that are to be replaced."""
        return {name for name, silence_s in self.silent_s.items() if silence_s >= self.silence_limit_s}


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make the model and the environment of this template ready, or try again."""

    template: str


@dataclass(frozen=True, slots=True)
class Start:
    """Launch one worker of this template."""

    template: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask a worker to end, or kill it."""

    name: str
    is_forced: bool = False


@dataclass(frozen=True, slots=True)
class Forget:
    """Clear away a dead worker."""

    name: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Nothing of a deleted deployment is left: forget it."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Ask a cluster for the end of all objects of a deployment."""


Action = Prepare | Start | Stop | Forget | Remove | Withdraw


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do now, and what to say of the deployment."""

    actions: tuple[Action, ...]
    observed: Observed
