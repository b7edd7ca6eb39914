"""The ports to what must survive a crash: deployments, their events, demand, leases, keys, benchmarks.

Each port is small and has one contract test (`tests/contract/test_store_contract.py`) that every database passes.
Writes of control are fenced: they carry its lease and are refused (LeaseLost) once another process holds it. Times are
the database's own clock, so that two machines agree on them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tokenforge.domain.api_key import ApiKey
from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import Deployment, DeploymentId, DeploymentSpec
from tokenforge.domain.deployment_state import Observed
from tokenforge.domain.kept import Artifact, KeptBenchmark
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.domain.run import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """What a client names a request by, and the digest of the body it sent with it."""

    key: str
    body_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to act, held by one process until `expires_at_s` (the database's clock). `epoch` grows with holders."""

    name: str
    owner: str
    epoch: int
    expires_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to `subject` (an id). `seq` grows; `at` is RFC 3339 UTC."""

    seq: int
    subject: str
    at: str
    reason: str
    message: str


Admit = Callable[[DeploymentSpec, Sequence[DeploymentSpec]], None]
"""Raises when a spec may not be beside those of the other deployments."""


class Deployments(Protocol):
    """What is wanted. Any process may ask; control alone observes (see Observations)."""

    async def create(
        self,
        spec: DeploymentSpec,
        *,
        identity: DeploymentId,
        idempotency: IdempotencyKey | None,
        is_name_chosen: bool,
        admit: Admit | None = None,
    ) -> tuple[Deployment, bool]:
        """Keep a new promise, if `admit` does; True when it is new, False when the key already made it.

        Raises AlreadyExists for a taken name the user chose (another gets a number), KeyReused for a key with another
        body.
        """
        ...

    async def get(self, identity: DeploymentId) -> Deployment:
        """Raises NotFound."""
        ...

    async def list(self) -> tuple[Deployment, ...]:
        """All of them, oldest first."""
        ...

    async def change(
        self,
        identity: DeploymentId,
        edit: Callable[[DeploymentSpec], DeploymentSpec],
        *,
        admit: Admit | None = None,
    ) -> Deployment:
        """Replace the spec by `edit` of it, in one step; a real change is a new generation. Raises NotFound.

        `admit` is asked where more replicas are kept for it than before.
        """
        ...

    async def delete(self, identity: DeploymentId) -> Deployment:
        """Ask for its end; it is gone once control has stopped its workers. Raises NotFound. Idempotent."""
        ...


class Observations(Protocol):
    """What control sees and says, fenced by its lease."""

    async def observe(self, identity: DeploymentId, observed: Observed, *, lease: Lease) -> None:
        """Keep what was seen. A deployment that is gone is no error. Raises LeaseLost."""
        ...

    async def remove(self, identity: DeploymentId, *, lease: Lease) -> None:
        """Forget a deployment whose workers have ended. Raises LeaseLost."""
        ...

    async def version(self) -> int:
        """A number that grows with every change of a deployment or a run: read it often, the rest when it grew."""
        ...


class Events(Protocol):
    """What happened, for people: append and read on."""

    async def append(self, subject: str, *, reason: str, message: str) -> None:
        """Add one; the oldest of a subject go beyond a few thousand."""
        ...

    async def after(self, subject: str, *, seq: int, limit: int) -> tuple[Event, ...]:
        """Those after `seq`, oldest first."""
        ...


class Leases(Protocol):
    """Who may act."""

    async def acquire(self, name: str, *, owner: str, ttl_s: float) -> Lease | None:
        """Take or prolong it; None while another holds it. Another holder than the last begins a new epoch."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give it back, so that the next need not wait. No error when it is lost already."""
        ...


class Keys(Protocol):
    """API keys, by name."""

    async def add(self, key: ApiKey) -> None:
        """Raises AlreadyExists for a taken name."""
        ...

    async def list(self) -> tuple[ApiKey, ...]:
        """All, oldest first."""
        ...

    async def revoke(self, name: str) -> None:
        """Raises NotFound."""
        ...


class Demands(Protocol):
    """What is asked of deployments, as each gateway sees it: rows that end when their gateway stops reporting."""

    async def report(self, gateway: str, demands: Mapping[DeploymentId, Demand], *, ttl_s: float) -> None:
        """Replace what this gateway said before; it holds for `ttl_s`."""
        ...

    async def all(self) -> Mapping[DeploymentId, Demand]:
        """What the gateways that report see together; a deployment that none of them speaks of is not in it."""
        ...


class Benchmarks(Protocol):
    """Queued benchmarks and their runs. Claims and steps are fenced by control's lease."""

    async def enqueue(self, benchmark: QueuedBenchmark, *, idempotency: IdempotencyKey | None) -> QueuedBenchmark:
        """Keep a new one, or give back the one that the key made. Raises KeyReused."""
        ...

    async def get(self, identity: str) -> QueuedBenchmark:
        """Raises NotFound."""
        ...

    async def list(self, *, limit: int, only_open: bool = False) -> tuple[QueuedBenchmark, ...]:
        """The newest first; `only_open`: those with a run that has not ended."""
        ...

    async def find_run(self, run_id: str) -> tuple[QueuedBenchmark, QueuedRun]:
        """A run and its benchmark. Raises NotFound."""
        ...

    async def step(
        self,
        identity: str,
        *,
        to: RunStatus,
        lease: Lease | None,
        cause: str = "",
        facts: Mapping[str, str] | None = None,
        runs: Collection[str] | None = None,
    ) -> QueuedBenchmark:
        """Take every run of the benchmark (or those in `runs`) that may go to `to` there; `facts` are kept.

        Raises NotFound, LeaseLost. Without a lease only `cancelled` may be asked for.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the runs of a queued benchmark end (by id: status and cause), and facts to keep with it."""

    queued_id: str
    runs: Mapping[str, tuple[RunStatus, str]]
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs; None is "any"."""

    model: str | None = None
    runtime: str | None = None
    status: RunStatus | None = None


class Kept(Protocol):
    """What was measured. Its artifacts' bytes are in the artifact store before a row names them."""

    async def keep(self, kept: KeptBenchmark, *, lease: Lease | None = None, ending: Ending | None = None) -> None:
        """Keep it, instead of what had its id or answered the same queued benchmark; and end that one, in one step.

        Raises LeaseLost, and StoreFailed for an artifact that was not claimed.
        """
        ...

    async def recent(self, *, limit: int, only: RunFilter | None = None) -> tuple[KeptBenchmark, ...]:
        """The newest first, of which a run fits; without trials, artifacts and environment."""
        ...

    async def find(self, identity: str) -> KeptBenchmark:
        """By its own id, one of its runs', or those of the queued benchmark that it answers. Raises NotFound."""
        ...

    async def forget(self, *, before: str, beyond: int | None, limit: int) -> int:
        """Forget those made before a time (RFC 3339) or beyond the newest so many, at most `limit`. How many."""
        ...


class BlobRows(Protocol):
    """Which bytes the artifact store holds, so that none is removed that a row needs."""

    async def claim(self, artifacts: Sequence[Artifact]) -> None:
        """Say that these bytes are about to be sent. Raises StoreUnavailable while some are being removed."""
        ...

    async def unneeded(self, *, limit: int, grace_s: float) -> tuple[str, ...]:
        """Bytes that no artifact has needed for `grace_s`; from now on they are being removed."""
        ...

    async def removed(self, blobs: Sequence[str]) -> None:
        """Their bytes are gone: forget them."""
        ...
