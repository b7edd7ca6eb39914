"""A fleet that lives in memory: launched workers come up in steps that the test takes, and die when it says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tokenforge.cluster.base import Launch, Sighting
from tokenforge.domain.generation import Capabilities, RuntimeInfo
from tokenforge.protocol.worker_spec import WorkerPhase

INFO = RuntimeInfo(
    runtime="sim", engine="sim", engine_version="1", model="m", max_model_len=64, capabilities=Capabilities()
)
_NEXT = {WorkerPhase.STARTING: WorkerPhase.LOADING, WorkerPhase.LOADING: WorkerPhase.READY}


@dataclass(slots=True)
class FleetTwin:
    """Workers by name. `now_s` is the time that launches and stops are stamped with."""

    now_s: float = 1_000.0
    workers: dict[str, Sighting] = field(default_factory=dict)
    launched: int = 0

    async def launch(self, launch: Launch, *, labels: Mapping[str, str]) -> None:
        """Note it as starting."""
        self.add(launch.spec.name, labels)

    async def look(self) -> Sequence[Sighting]:
        """All of them."""
        return list(self.workers.values())

    async def stop(self, name: str, *, is_forced: bool) -> None:
        """Mark it; a forced stop ends it at once."""
        worker = self.workers[name]
        since = worker.stopping_since_s or self.now_s
        self.workers[name] = replace(worker, stopping_since_s=since, is_alive=worker.is_alive and not is_forced)

    async def forget(self, name: str) -> None:
        """Drop it."""
        assert not self.workers.pop(name).is_alive

    def add(self, name: str, labels: Mapping[str, str]) -> None:
        """A worker that was just launched."""
        self.launched += 1
        self.workers[name] = Sighting(
            name=name, labels=labels, phase=WorkerPhase.STARTING, is_alive=True, launched_at_s=self.now_s
        )

    def progress(self) -> None:
        """Take every living worker one phase on, and end those that were asked to."""
        for name, worker in self.workers.items():
            if worker.stopping_since_s is not None:
                self.workers[name] = replace(worker, is_alive=False)
            elif worker.is_alive:
                phase = _NEXT.get(worker.phase, worker.phase)
                info = INFO if phase is WorkerPhase.READY else None
                self.workers[name] = replace(worker, phase=phase, url=f"http://{name}", info=info)

    def die(
        self, name: str, *, cause: str | None = None, code: str | None = None, ending: str = "was killed by SIGKILL"
    ) -> None:
        """It is gone; a cause means that it said why."""
        worker = self.workers[name]
        phase = worker.phase if cause is None else WorkerPhase.FAILED
        self.workers[name] = replace(
            worker, is_alive=False, phase=phase, cause=cause, code=code, ending=ending,
            last_words=("its last line",),
        )  # fmt: skip
