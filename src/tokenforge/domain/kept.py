"""What is remembered of a benchmark that was measured: the row that finds it again, and the files that belong to it."""

from collections.abc import Mapping
from dataclasses import dataclass

from tokenforge.domain.run import RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTrial:
    """One trial: its number in its run, its place in the whole order, its plan by digest, when it ran and how long."""

    trial: int
    position: int
    plan_digest: str
    planned_requests: int
    started_at: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """One workload on one runtime, under the id that its record gave it."""

    id: str
    model: str
    runtime: str
    workload: str
    status: RunStatus
    cause: str = ""
    trials: tuple[KeptTrial, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file of a benchmark: its name, and the blob that holds its content."""

    name: str
    sha256: str
    size_bytes: int
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBenchmark:
    """`folder` is where its files lie on the machine that measured it (empty: only in the artifact store).

    `queued_id` is the benchmark of the queue that it answers, None for one of the command line. `environment` is the
    machine as it was read; equal ones are kept once.
    """

    id: str
    created_at: str
    spec_hash: str
    headline: str
    verdict: str
    runs: tuple[KeptRun, ...]
    folder: str = ""
    queued_id: str | None = None
    environment: Mapping[str, object] | None = None
    artifacts: tuple[Artifact, ...] = ()
