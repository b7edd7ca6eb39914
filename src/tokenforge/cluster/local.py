"""Workers as child processes of this machine.

Each leads a session of its own, writes to a log file, holds the read end of our lifeline (so it ends when we die, even
by SIGKILL) and tells its phases on a pipe. When it ends, for whatever reason, its whole group is killed at once: an
engine's children never outlive their worker. Nothing here parses a log to learn a state.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenforge.cluster.base import Launch
from tokenforge.cluster.local_ledger import enter, reap_orphans
from tokenforge.cluster.local_worker import WORKER_MODULE, LocalWorker
from tokenforge.cluster.process_mark import mark_of
from tokenforge.domain.errors import PortInUse, WorkerFailed
from tokenforge.protocol.worker_spec import worker_spec_to_json

__all__ = ["LocalCluster", "reap_orphans"]

_LINE_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pipes:
    """The pipe ends of one launch: ours are kept, the child's are closed here once it has them."""

    lifeline_child: int
    lifeline_ours: int
    announce_ours: int
    announce_child: int


class LocalCluster:
    """Starts workers here. `state_folder` holds their specs, logs and the ledger of who is alive."""

    def __init__(self, state_folder: Path) -> None:
        self._folder = state_folder
        self._workers: list[LocalWorker] = []
        self._launched = 0

    async def launch(self, launch: Launch) -> LocalWorker:
        """Start the worker and return at once. Raises PortInUse, or WorkerFailed when its Python cannot be started."""
        _refuse_used_port(launch.spec.host, launch.spec.port)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._launched += 1
        stem = f"{_file_name(launch.spec.name)}-{os.getpid()}-{self._launched}"
        spec_path, log_path = self._folder / f"{stem}.spec.json", self._folder / f"{stem}.log"
        spec_path.touch(mode=0o600)  # engine arguments may hold a key
        spec_path.write_text(worker_spec_to_json(launch.spec), encoding="utf-8")
        pipes = _open_pipes()
        try:
            process = await _spawn(launch, spec_path=spec_path, log_path=log_path, pipes=pipes)
        except OSError as error:
            os.close(pipes.lifeline_ours)
            os.close(pipes.announce_ours)
            raise WorkerFailed(
                f"worker {launch.spec.name} cannot be started with {launch.python}: {error.strerror}",
                hint="Make the runtime's environment again: tokenforge runtimes install",
            ) from error
        finally:
            os.close(pipes.lifeline_child)
            os.close(pipes.announce_child)
        worker = LocalWorker(
            launch.spec,
            process=process,
            announcements=await _reader(pipes.announce_ours),
            lifeline_fd=pipes.lifeline_ours,
            log_path=log_path,
            ledger_entry=_note(self._folder, launch.spec.name, process.pid),
        )
        self._workers.append(worker)
        return worker

    async def close(self) -> None:
        """Stop every worker that was launched here, side by side."""
        await asyncio.gather(*(worker.stop(grace_s=worker.drain_s + 2.0) for worker in self._workers))
        self._workers.clear()

    def logs(self) -> Sequence[Path]:
        """The log files, oldest first."""
        return sorted(self._folder.glob("*.log"), key=lambda path: path.stat().st_mtime)


async def _spawn(launch: Launch, *, spec_path: Path, log_path: Path, pipes: _Pipes) -> asyncio.subprocess.Process:
    with log_path.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            str(launch.python),
            *(*WORKER_MODULE, str(spec_path)),
            *("--lifeline-fd", str(pipes.lifeline_child), "--announce-fd", str(pipes.announce_child)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(launch.process_env),
            pass_fds=(pipes.lifeline_child, pipes.announce_child),
            start_new_session=True,
        )


async def _reader(fd: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=_LINE_LIMIT_BYTES)
    pipe = os.fdopen(fd, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


def _open_pipes() -> _Pipes:
    lifeline_child, lifeline_ours = os.pipe()
    announce_ours, announce_child = os.pipe()
    return _Pipes(
        lifeline_child=lifeline_child,
        lifeline_ours=lifeline_ours,
        announce_ours=announce_ours,
        announce_child=announce_child,
    )


def _note(folder: Path, name: str, pid: int) -> Path | None:
    """Enter the worker in the ledger; None when it has ended already."""
    worker, owner = mark_of(pid), mark_of(os.getpid())
    if worker is None or owner is None:
        return None
    return enter(folder, name=_file_name(name), worker=worker, owner=owner)


def _refuse_used_port(host: str, port: int) -> None:
    if port == 0:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            hint = "Stop what listens there, or take port 0 for any free one"
            raise PortInUse(f"port {port} of {host} is not free: {error.strerror}", hint=hint) from error


def _file_name(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_.@" else "-" for char in name)
