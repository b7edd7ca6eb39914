"""No process is ever left: not after a stop, not after kill -9 of the worker, of its parent, or of both."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import forking_plug
import psutil
import pytest
import worker_rig as rig

from tokenforge.cluster.base import Launch
from tokenforge.cluster.local import LocalCluster, reap_orphans
from tokenforge.domain.errors import PortInUse, WorkerFailed
from tokenforge.models.synthetic import make_synthetic

_PARENT = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_local_cluster_processes import launch_forking
from tokenforge.cluster.local import LocalCluster

async def main():
    worker = await LocalCluster(Path({state!r})).launch(launch_forking(Path({model!r}), Path({folder!r})))
    await worker.ready(timeout_s=30)
    print(worker.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("tiny", tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def parent(model: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A script that started a worker, which started children; its first line is the worker's id."""
    code = _PARENT.format(
        tests=str(Path(__file__).parent), state=str(tmp_path / "state"), model=str(model), folder=str(tmp_path)
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def launch_forking(model: Path, folder: Path) -> Launch:
    """A launch of an engine with children; their ids go to `folder/pids`."""
    path = forking_plug.install(folder / "plug")
    arguments = {"pid_file": str(folder / "pids"), "step_ms": 20.0}
    return rig.launch_of(model, runtime="forking", engine_args=arguments, env={"PYTHONPATH": str(path)})


def is_alive(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def seconds_until_gone(pids: list[int], *, limit_s: float) -> float:
    begun = time.monotonic()
    while any(is_alive(pid) for pid in pids):
        if time.monotonic() - begun > limit_s:
            raise AssertionError(f"still alive after {limit_s} s: {[pid for pid in pids if is_alive(pid)]}")
        time.sleep(0.02)
    return time.monotonic() - begun


def children_of(folder: Path) -> list[int]:
    pids = [int(pid) for pid in (folder / "pids").read_text().split()]
    assert len(pids) == 2
    assert all(is_alive(pid) for pid in pids)
    return pids


async def test_a_killed_worker_says_so_and_leaves_no_process(model: Path, tmp_path: Path) -> None:
    async with rig.running(tmp_path / "state", launch_forking(model, tmp_path)) as worker:
        children = children_of(tmp_path)
        os.kill(worker.pid, signal.SIGKILL)
        failed = await asyncio.wait_for(worker.exited(), 2.0)
        assert not [pid for pid in (worker.pid, *children) if is_alive(pid)]
    assert "killed by SIGKILL" in failed.message
    assert "phase=ready" in failed.last_words[-1]


async def test_a_stop_leaves_no_process_and_may_be_repeated(model: Path, tmp_path: Path) -> None:
    async with rig.running(tmp_path / "state", launch_forking(model, tmp_path)) as worker:
        children = children_of(tmp_path)
        await worker.stop(grace_s=10)
        assert not [pid for pid in (worker.pid, *children) if is_alive(pid)]
        await worker.stop(grace_s=10)
    assert not list((tmp_path / "state").glob("*.worker.json"))


async def test_the_cpu_time_of_a_worker_and_its_children_is_metered_while_it_lives(model: Path, tmp_path: Path) -> None:
    async with rig.running(tmp_path / "state", launch_forking(model, tmp_path)) as worker:
        own = psutil.Process(worker.pid).cpu_times()
        used = worker.cpu_s()
        assert used is not None
        assert used >= own.user + own.system > 0
        await worker.stop(grace_s=10)
        assert worker.cpu_s() is None


async def test_a_frozen_worker_is_killed_after_its_grace(model: Path, tmp_path: Path) -> None:
    async with rig.running(tmp_path / "state", launch_forking(model, tmp_path)) as worker:
        children = children_of(tmp_path)
        os.kill(worker.pid, signal.SIGSTOP)
        await asyncio.wait_for(worker.stop(grace_s=0.3), 3.0)
        assert not [pid for pid in (worker.pid, *children) if is_alive(pid)]


def test_a_killed_parent_leaves_no_process(parent: "subprocess.Popen[str]", tmp_path: Path) -> None:
    assert parent.stdout is not None
    pids = [int(parent.stdout.readline()), *children_of(tmp_path)]
    parent.kill()
    assert seconds_until_gone(pids, limit_s=8.0) < 8.0


def test_the_next_start_ends_what_a_killed_worker_of_a_killed_parent_left(
    parent: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    assert parent.stdout is not None
    worker, children = int(parent.stdout.readline()), children_of(tmp_path)
    parent.send_signal(signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    parent.kill()
    parent.wait(timeout=5)
    assert all(is_alive(pid) for pid in children)
    assert reap_orphans(tmp_path / "state") == ("w",)
    seconds_until_gone(children, limit_s=2.0)
    assert reap_orphans(tmp_path / "state") == ()


async def test_a_living_owners_workers_are_not_reaped(model: Path, tmp_path: Path) -> None:
    async with rig.running(tmp_path, rig.launch_of(model)) as worker:
        assert reap_orphans(tmp_path) == ()
        assert (await rig.get(worker, "/health/ready")).status == 200


async def test_a_used_port_is_named_at_once(model: Path, tmp_path: Path) -> None:
    with contextlib.closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=str(port)):
            await LocalCluster(tmp_path).launch(rig.launch_of(model, port=port))


async def test_a_port_that_was_asked_for_is_served(model: Path, tmp_path: Path) -> None:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with rig.running(tmp_path, rig.launch_of(model, port=port)) as worker:
        assert worker.url == f"http://127.0.0.1:{port}"


async def test_a_python_that_is_not_there_is_told(model: Path, tmp_path: Path) -> None:
    launch = rig.launch_of(model)
    missing = Launch(spec=launch.spec, python=tmp_path / "python", process_env=launch.process_env)
    with pytest.raises(WorkerFailed, match="cannot be started"):
        await LocalCluster(tmp_path).launch(missing)


async def test_two_workers_run_side_by_side_and_close_ends_both(model: Path, tmp_path: Path) -> None:
    cluster = LocalCluster(tmp_path)
    workers = [await cluster.launch(rig.launch_of(model, name=name)) for name in ("a", "b")]
    await asyncio.gather(*(worker.ready(timeout_s=30) for worker in workers))
    assert workers[0].url != workers[1].url
    await cluster.close()
    assert not [worker.pid for worker in workers if is_alive(worker.pid)]


async def test_no_descriptor_is_left_open(model: Path, tmp_path: Path) -> None:
    open_after = []
    for _ in range(3):
        async with rig.running(tmp_path, rig.launch_of(model)):
            pass
        open_after.append(psutil.Process().num_fds())
    assert open_after[-1] <= open_after[0]
