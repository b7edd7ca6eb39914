"""The ports to wherever workers run. `local` is processes of this machine: start one, watch it, stop it.

A cluster that keeps replicas itself is an Orchestrator: it is told what a deployment should be, and asked how it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from tokenforge.domain.deployment import Deployment, DeploymentId
from tokenforge.domain.errors import TokenForgeError, WorkerFailed
from tokenforge.domain.generation import RuntimeInfo
from tokenforge.domain.worker import WorkerSpec
from tokenforge.protocol.worker_spec import WorkerPhase


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One worker to start: its spec, the Python of its runtime's environment, and the environment of its process."""

    spec: WorkerSpec
    python: Path
    process_env: Mapping[str, str]


class Worker(Protocol):
    """A started worker."""

    @property
    def name(self) -> str:
        """The name in its spec."""
        ...

    @property
    def url(self) -> str:
        """Its base URL, `http://host:port`; known after `ready`."""
        ...

    async def ready(self, *, timeout_s: float, on_phase: Callable[[str], None] | None = None) -> RuntimeInfo:
        """Wait until it serves. Raises WorkerFailed, with its last words, when it ends or takes too long."""
        ...

    async def exited(self) -> WorkerFailed:
        """Wait until it ends without having been asked to, then say why (the signal or status, its last words)."""
        ...

    def last_words(self, lines: int = 20) -> Sequence[str]:
        """The final lines of its log, newest last."""
        ...

    async def stop(self, *, grace_s: float) -> None:
        """Ask it to end, wait `grace_s`, then kill its whole process group. Idempotent; leaves no process."""
        ...


@runtime_checkable
class MetersCpu(Protocol):
    """A worker whose processes can be metered from here."""

    def cpu_s(self) -> float | None:
        """CPU seconds that its processes have used so far; None when they can't be read."""
        ...


class Cluster(Protocol):
    """Where workers run."""

    async def launch(self, launch: Launch) -> Worker:
        """Start the worker and return at once; `Worker.ready` waits. Raises WorkerFailed when it cannot even start."""
        ...

    async def close(self) -> None:
        """Stop every worker that was launched here."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One worker of a fleet as it looks now.

    `labels` are those it was launched with. `phase` is the last it told; a dead one keeps it. `stopping_since_s` (Unix
    seconds) is when its end was asked for, None when it was not. `cause` and `code` are why it failed, as it told;
    `ending` how its process ended, where that is known. `last_words` are there until it is ready and once it failed
    or died; then there are `oom_kills` too: how many processes the kernel has killed since its launch because memory
    ran out.
    """

    name: str
    labels: Mapping[str, str]
    phase: WorkerPhase
    is_alive: bool
    launched_at_s: float
    url: str = ""
    info: RuntimeInfo | None = None
    stopping_since_s: float | None = None
    cause: str | None = None
    code: str | None = None
    ending: str = ""
    last_words: tuple[str, ...] = field(default=())
    oom_kills: int = 0


class Fleet(Protocol):
    """Workers that outlive whoever launched them: they are found again by looking, not by having been started here."""

    async def launch(self, launch: Launch, *, labels: Mapping[str, str]) -> None:
        """Start a worker of a new name and return at once. Raises WorkerFailed or PortInUse when it can't be started.

        A launch cut short at any moment is either seen by the next look, or leaves no process.
        """
        ...

    async def look(self) -> Sequence[Sighting]:
        """Every worker that was launched and is not forgotten, the dead too."""
        ...

    async def stop(self, name: str, *, is_forced: bool) -> None:
        """Ask it to drain and end, or kill its whole group. Returns at once; an unknown name is no error."""
        ...

    async def forget(self, name: str) -> None:
        """Forget a dead worker; what is left of its group is killed first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a deployment stands on a cluster.

    `generation` is the one that its workload was last made from, `template` what pods of that are labelled with, as in
    `labels` of the sightings. `replicas` is how many the workload wants now; `scaled_by` the metric that the cluster
    itself scales it by, empty where it does not. `trouble` is what keeps the cluster from making pods at all.
    `is_ending`: its end was asked for, and is not over.
    """

    generation: int
    template: str
    pods: tuple[Sighting, ...] = ()
    replicas: int = 0
    scaled_by: str = ""
    trouble: TokenForgeError | None = None
    is_ending: bool = False


class Orchestrator(Protocol):
    """A cluster that keeps replicas itself. All calls may be made at any moment and as often as one likes."""

    async def apply(self, deployment: Deployment) -> None:
        """Make its objects what it wants; nothing is sent when they are.

        Raises InvalidInput, ClusterRefused with the cause, ClusterUnreachable.
        """
        ...

    async def look(self) -> Mapping[DeploymentId, Standing]:
        """Every deployment of which something is there, whoever made it.

        Raises ClusterUnreachable before all were seen once; later what was seen last stays.
        """
        ...

    async def remove(self, deployment: DeploymentId) -> None:
        """Ask for the end of its objects; over once `look` tells it no more. One that is not there is no error."""
        ...

    def version(self) -> int:
        """A number that grows whenever `look` may tell something else."""
        ...

    async def close(self) -> None:
        """Stop looking; what runs there goes on."""
        ...
