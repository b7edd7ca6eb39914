"""Control gives the GPUs of one machine to replicas that are real processes, whose environment is looked at.

The cards are simulated: a list that control is told, on a machine that may have none. The workers are `sim` engines, so
nothing runs on a card; what is tested is who is told which.
"""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest
from card_control import card_control

from tokenforge.cluster.fleet_files import FleetFiles
from tokenforge.cluster.local_fleet import end_fleet
from tokenforge.domain.benchmark import Resources
from tokenforge.domain.deployment import Deployment, DeploymentId, DeploymentSpec
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import parse_runtime
from tokenforge.models.synthetic import make_synthetic
from tokenforge.protocol.worker_spec import worker_spec_from_json
from tokenforge.store.sql.store import Store, open_store

LIMIT_S = 60.0
SPEC = DeploymentSpec(
    name="tiny", model=parse_model("synthetic:tiny"), runtime=parse_runtime("sim"), resources=Resources(gpu=1)
)


@dataclass(slots=True)
class Machine:
    """A machine with simulated cards, a store and a fleet, and a control that can be ended and started again."""

    store: Store
    folder: Path
    model: Path
    cards: int = 2
    owners: "itertools.count[int]" = field(default_factory=itertools.count)
    running: asyncio.Task[None] | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    shared: list[str] = field(default_factory=list)
    pids: set[int] = field(default_factory=set)

    def begin(self) -> None:
        """Start a control process of its own name."""
        control = card_control(
            self.store, folder=self.folder, model=self.model, cards=self.cards, owner=f"c{next(self.owners)}"
        )
        self.stop = asyncio.Event()
        self.running = asyncio.create_task(control.run(self.stop))

    async def end(self) -> None:
        """End control; its workers live on."""
        self.stop.set()
        assert self.running is not None
        await self.running

    async def deploy(self, identity: str = "d", **changes: object) -> None:
        """Ask for a deployment, named like its id."""
        spec = replace(SPEC, name=identity, **changes)  # type: ignore[arg-type]
        await self.store.deployments.create(
            spec, identity=DeploymentId(identity), idempotency=None, is_name_chosen=True
        )

    async def change(self, **changes: object) -> None:
        """Change the spec."""
        await self.store.deployments.change(DeploymentId("d"), lambda spec: replace(spec, **changes))  # type: ignore[arg-type]

    async def seen(self, identity: str = "d") -> Deployment:
        """What control says of it."""
        return await self.store.deployments.get(DeploymentId(identity))

    def cards_by_pid(self) -> dict[int, str]:
        """What CUDA is told in every living worker of this fleet."""
        found = {}
        for entry in FleetFiles(self.folder).entries():
            if entry.process is not None:
                self.pids.add(entry.process.pid)
                try:
                    process = psutil.Process(entry.process.pid)
                    if process.status() != psutil.STATUS_ZOMBIE:
                        found[process.pid] = process.environ().get("CUDA_VISIBLE_DEVICES", "none told")
                except psutil.Error:
                    continue
        return found

    async def until(self, is_so: Callable[[Deployment], bool], identity: str = "d") -> Deployment:
        """Wait until it is so, and note whenever two living workers are told the same card."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                told = sorted(self.cards_by_pid().values())
                self.shared += [a for a, b in itertools.pairwise(told) if a == b]
                seen = await self.seen(identity)
                if is_so(seen):
                    return seen
                await asyncio.sleep(0.02)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("tiny", tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
async def machine(tmp_path: Path, model: Path) -> AsyncIterator[Machine]:
    store = open_store(tmp_path / "store.db")
    made = Machine(store, tmp_path / "fleet", model)
    made.begin()
    yield made
    await made.end()
    await store.close()
    made.cards_by_pid()
    await asyncio.to_thread(end_fleet, made.folder, limit_s=0.0)
    for pid in made.pids:  # a control that is followed by another leaves its children to this process
        try:
            await asyncio.to_thread(os.waitpid, pid, 0)
        except ChildProcessError:
            continue


def is_ready(seen: Deployment) -> bool:
    return seen.is_ready


async def test_each_replica_is_told_a_card_of_its_own_and_reads_the_state_of_that(machine: Machine) -> None:
    await machine.deploy(replicas=2)
    seen = await machine.until(is_ready)
    assert sorted(machine.cards_by_pid().values()) == ["0", "1"]
    assert sorted(replica.gpus for replica in seen.observed.replicas) == [("GPU-sim-0",), ("GPU-sim-1",)]
    for replica in seen.observed.replicas:
        spec = worker_spec_from_json(FleetFiles(machine.folder).spec_path(replica.id).read_bytes())
        assert spec.observing.visible_gpus == replica.gpus[0]


async def test_a_replica_that_asks_for_two_is_told_both_and_one_that_asks_none_is_told_nothing_new(
    machine: Machine,
) -> None:
    await machine.deploy("two", resources=Resources(gpu=2))
    await machine.deploy("none", resources=Resources())
    await machine.until(is_ready, "two")
    await machine.until(is_ready, "none")
    inherited = os.environ.get("CUDA_VISIBLE_DEVICES", "none told")
    assert sorted(machine.cards_by_pid().values()) == sorted(["0,1", inherited])


async def test_a_new_control_knows_which_cards_are_held(machine: Machine) -> None:
    await machine.deploy(replicas=2)
    await machine.until(is_ready)
    before = machine.cards_by_pid()
    await machine.end()
    machine.cards = 3
    machine.begin()
    await machine.change(replicas=3)
    await machine.until(is_ready)
    after = machine.cards_by_pid()
    assert before.items() < after.items()
    assert sorted(after.values()) == ["0", "1", "2"]


async def test_a_control_that_is_killed_in_the_midst_of_a_change_is_followed_by_one_that_ends_it(
    machine: Machine, tmp_path: Path
) -> None:
    await machine.deploy(replicas=2)
    await machine.until(is_ready)
    before = machine.cards_by_pid()
    await machine.end()
    script = Path(__file__).with_name("card_control.py")
    words = [str(tmp_path / "store.db"), str(machine.folder), str(machine.model), str(machine.cards), "killed"]
    killed = await asyncio.create_subprocess_exec(sys.executable, str(script), *words)
    await machine.change(revision="2")
    await machine.until(lambda _: bool(machine.cards_by_pid().keys() - before.keys()))
    killed.kill()
    await killed.wait()
    machine.begin()
    await machine.until(lambda seen: seen.is_ready and not before.keys() & machine.cards_by_pid().keys())
    assert sorted(machine.cards_by_pid().values()) == ["0", "1"]
    assert machine.shared == []


async def test_a_change_without_a_free_card_goes_card_by_card(machine: Machine) -> None:
    await machine.deploy(replicas=2)
    await machine.until(is_ready)
    before = machine.cards_by_pid()
    await machine.change(revision="2")
    await machine.until(lambda seen: seen.is_ready and not before.keys() & machine.cards_by_pid().keys())
    assert sorted(machine.cards_by_pid().values()) == ["0", "1"]
    assert machine.shared == []


async def test_a_change_with_a_free_card_starts_there_first(machine: Machine) -> None:
    await machine.deploy()
    await machine.until(is_ready)
    await machine.change(revision="2")
    await machine.until(lambda seen: seen.is_ready and len(machine.cards_by_pid()) == 1)
    assert list(machine.cards_by_pid().values()) == ["1"]


async def test_a_killed_replica_comes_back_on_its_card(machine: Machine) -> None:
    await machine.deploy(replicas=2)
    await machine.until(is_ready)
    pid, card = next(iter(machine.cards_by_pid().items()))
    os.kill(pid, signal.SIGKILL)
    await machine.until(lambda seen: seen.is_ready and len(machine.cards_by_pid().keys() - {pid}) == 2)
    assert sorted(machine.cards_by_pid().values()) == ["0", "1"]
    assert card in machine.cards_by_pid().values()
    assert machine.shared == []


async def test_too_many_are_told_so_and_start_once_others_end(machine: Machine) -> None:
    await machine.deploy("first")
    await machine.until(is_ready, "first")
    await machine.deploy(replicas=2)
    seen = await machine.until(lambda seen: bool(shortage(seen)))
    assert "asks 1 GPU, 0 of 2 here are free: 0 is held by first-" in shortage(seen)
    assert "; 1 is held by " in shortage(seen)
    await machine.store.deployments.delete(DeploymentId("first"))
    await machine.until(is_ready)
    assert sorted(machine.cards_by_pid().values()) == ["0", "1"]


async def test_cards_are_given_back_by_those_too_many(machine: Machine) -> None:
    await machine.deploy(replicas=2)
    await machine.until(is_ready)
    await machine.change(replicas=1)
    await machine.until(lambda seen: seen.is_ready and len(machine.cards_by_pid()) == 1)
    await machine.deploy("other")
    await machine.until(is_ready, "other")
    assert sorted(machine.cards_by_pid().values()) == ["0", "1"]


def shortage(seen: Deployment) -> str:
    """Of a shortage; nothing where there is none."""
    healthy = seen.observed.condition("Healthy")
    return healthy.message if healthy is not None and healthy.reason == "InsufficientGPU" else ""
