"""The port to wherever workers run: start one, watch it, stop it. `local` is child processes of this machine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tokenforge.domain.errors import WorkerFailed
from tokenforge.domain.generation import RuntimeInfo
from tokenforge.domain.worker import WorkerSpec


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


class Cluster(Protocol):
    """Where workers run."""

    async def launch(self, launch: Launch) -> Worker:
        """Start the worker and return at once; `Worker.ready` waits. Raises WorkerFailed when it cannot even start."""
        ...

    async def close(self) -> None:
        """Stop every worker that was launched here."""
        ...
