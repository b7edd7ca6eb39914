"""Workers that outlive their launcher: seen by whoever looks, ended by the lifeline, never left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from own_children import child_pids, reap

from tokenforge.cluster.base import Launch, Sighting
from tokenforge.cluster.fleet_files import FleetEntry, FleetFiles
from tokenforge.cluster.local_fleet import LocalFleet, end_fleet
from tokenforge.domain.errors import StoreFailed, WorkerFailed
from tokenforge.domain.worker import RuntimeSpec, WorkerSpec
from tokenforge.models.synthetic import make_synthetic
from tokenforge.protocol.worker_spec import WorkerPhase


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("tiny", tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Path]:
    place = tmp_path / "fleet"
    await asyncio.to_thread(place.mkdir)
    others = child_pids()
    yield place
    await asyncio.to_thread(end_fleet, tmp_path / "fleet", limit_s=0.0)
    await asyncio.to_thread(reap, child_pids() - others)


def launch(model: Path, name: str = "w", *, python: str = sys.executable, **args: object) -> Launch:
    runtime = RuntimeSpec(runtime="sim", model_path=str(model), served_name="m", engine_args=args)
    return Launch(
        spec=WorkerSpec(name=name, runtime=runtime, drain_s=0.5), python=Path(python), process_env=dict(os.environ)
    )


async def see(fleet: LocalFleet, is_so: Callable[[Sighting], bool], name: str = "w") -> Sighting:
    async with asyncio.timeout(30):
        while True:
            found = [worker for worker in await fleet.look() if worker.name == name]
            if found and is_so(found[0]):
                return found[0]
            await asyncio.sleep(0.02)


async def until_ended(*pids: int) -> None:
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):  # noqa: ASYNC110 - polled
        await asyncio.sleep(0.02)


def is_ready(worker: Sighting) -> bool:
    return worker.phase is WorkerPhase.READY


def pid_of(folder: Path, name: str = "w") -> int:
    state = FleetFiles(folder).state(name)
    assert state is not None
    return state.pid


async def test_a_worker_comes_up_and_is_seen_with_its_labels(folder: Path, model: Path) -> None:
    fleet = LocalFleet(folder=folder)
    await fleet.launch(launch(model), labels={"deployment": "d"})
    worker = await see(fleet, is_ready)
    assert (worker.labels, worker.is_alive, worker.info is not None) == ({"deployment": "d"}, True, True)
    assert worker.url.startswith("http://127.0.0.1:")


async def test_another_launcher_sees_and_stops_the_same_worker(folder: Path, model: Path) -> None:
    await LocalFleet(folder=folder).launch(launch(model), labels={})
    other = LocalFleet(folder=folder)
    await see(other, is_ready)
    await other.stop("w", is_forced=False)
    worker = await see(other, lambda worker: not worker.is_alive)
    assert worker.stopping_since_s is not None
    await other.forget("w")
    assert list(await other.look()) == []


async def test_a_killed_worker_is_seen_dead_with_how_it_ended(folder: Path, model: Path) -> None:
    fleet = LocalFleet(folder=folder)
    await fleet.launch(launch(model), labels={})
    await see(fleet, is_ready)
    os.kill(pid_of(folder), signal.SIGKILL)
    worker = await see(fleet, lambda worker: not worker.is_alive)
    assert (worker.ending, worker.stopping_since_s) == ("was killed by SIGKILL", None)


async def test_who_is_forgotten_does_not_stay_as_a_zombie(folder: Path, model: Path) -> None:
    fleet, others = LocalFleet(folder=folder), child_pids()
    await fleet.launch(launch(model), labels={})
    await see(fleet, is_ready)
    await fleet.forget("w")
    assert child_pids() == others


async def test_an_engine_that_cannot_start_says_why(folder: Path, model: Path) -> None:
    fleet = LocalFleet(folder=folder)
    await fleet.launch(launch(model, wrong=1), labels={})
    worker = await see(fleet, lambda worker: not worker.is_alive)
    assert worker.cause is not None
    assert "wrong" in worker.cause
    assert worker.last_words


async def test_a_python_that_is_not_there_fails_and_leaves_nothing(folder: Path, model: Path) -> None:
    fleet = LocalFleet(folder=folder)
    with pytest.raises(WorkerFailed, match="no/python"):
        await fleet.launch(launch(model, python="/no/python"), labels={})
    assert list(await fleet.look()) == []


async def test_a_folder_that_cannot_be_written_fails_the_launch_with_its_cause(tmp_path: Path, model: Path) -> None:
    place = tmp_path / "taken"
    await asyncio.to_thread(place.write_text, "a file stands where the folder should be")
    with pytest.raises(StoreFailed, match="nothing can be written"):
        await LocalFleet(folder=place).launch(launch(model), labels={})


def test_what_a_launcher_cut_short_half_wrote_goes_with_the_worker(tmp_path: Path) -> None:
    files = FleetFiles(tmp_path)
    files.write(FleetEntry(name="w", labels={}, launched_at_s=0.0, host="127.0.0.1"))
    for path in (".w.entry.json.partial", ".w.state.json.partial"):
        (tmp_path / path).write_text("{")
    asyncio.run(LocalFleet(folder=tmp_path).forget("w"))
    assert list(tmp_path.iterdir()) == []


async def test_when_the_lifeline_is_cut_the_workers_end(folder: Path, model: Path) -> None:
    read, write = os.pipe()
    fleet = LocalFleet(folder=folder, lifeline_fd=read)
    await fleet.launch(launch(model), labels={})
    await see(fleet, is_ready)
    os.close(write)
    await see(fleet, lambda worker: not worker.is_alive)
    os.close(read)


async def test_a_launcher_cut_short_after_its_start_is_made_up_for(folder: Path, model: Path) -> None:
    fleet = LocalFleet(folder=folder)
    await fleet.launch(launch(model), labels={"deployment": "d"})
    await see(fleet, is_ready)
    files = FleetFiles(folder)
    files.write(FleetEntry(name="w", labels={}, launched_at_s=0.0, host="127.0.0.1"))
    other = LocalFleet(folder=folder)
    assert (await see(other, is_ready)).is_alive
    await other.stop("w", is_forced=True)
    assert not (await see(other, lambda worker: not worker.is_alive)).is_alive


async def test_a_worker_whose_launcher_was_cut_short_counts_before_it_says_anything(folder: Path, model: Path) -> None:
    fleet = LocalFleet(folder=folder)
    await fleet.launch(launch(model), labels={})
    files = FleetFiles(folder)
    pid = (await see(fleet, is_ready), pid_of(folder))[1]
    files.write(FleetEntry(name="w", labels={}, launched_at_s=0.0, host="127.0.0.1"))
    files.state_path("w").unlink()
    (worker,) = await LocalFleet(folder=folder).look()
    assert worker.is_alive
    os.kill(pid, signal.SIGKILL)
    await see(LocalFleet(folder=folder), lambda worker: not worker.is_alive)


async def test_a_launch_that_never_became_a_process_is_dead_after_a_while(folder: Path) -> None:
    FleetFiles(folder).write(FleetEntry(name="w", labels={}, launched_at_s=0.0, host="127.0.0.1"))
    (worker,) = await LocalFleet(folder=folder).look()
    assert not worker.is_alive


async def test_ending_a_fleet_leaves_no_process_and_no_entry(folder: Path, model: Path) -> None:
    fleet = LocalFleet(folder=folder)
    for name in ("w", "v"):
        await fleet.launch(launch(model, name), labels={})
        await see(fleet, is_ready, name)
    pids = [pid_of(folder, name) for name in ("w", "v")]
    assert await asyncio.to_thread(end_fleet, folder, limit_s=0.1) == 2
    await fleet.look()
    await asyncio.wait_for(until_ended(*pids), 10)  # a kill takes its moment
    assert list(await fleet.look()) == []


async def test_a_file_named_like_a_package_where_one_stands_is_not_imported(
    folder: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uvicorn.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    fleet = LocalFleet(folder=folder)
    await fleet.launch(launch(model), labels={})
    assert (await see(fleet, lambda worker: is_ready(worker) or not worker.is_alive)).is_alive
