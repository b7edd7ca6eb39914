"""A fleet of workers as processes of this machine that outlive whoever launched them.

All that is known of a worker is on disk: its entry (what it was launched as), its state (what it says of itself), its
log. So a control process that is killed and started again sees the very workers it left. They hold the read end of a
lifeline that the machine's supervisor keeps open: when that ends, they end, however it ended.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from tokenforge.cluster.base import Launch, Sighting
from tokenforge.cluster.fleet_files import FleetEntry, FleetFiles
from tokenforge.cluster.local_group import kill_group, members
from tokenforge.cluster.local_oom import oom_kills
from tokenforge.cluster.local_worker import WORKER_MODULE, ending_of
from tokenforge.cluster.process_mark import ProcessMark, is_alive, is_another, mark_of
from tokenforge.domain.errors import StoreFailed, WorkerFailed
from tokenforge.protocol.worker_spec import WorkerPhase, WorkerState

_BIRTH_LIMIT_S = 1.0
"""How long a launch may take from its entry to its process."""

_REAP_LIMIT_S = 1.0


@dataclass(slots=True)
class _Child:
    """A process that we started; `ended` says how, once it is known. `is_foreign`: its end was taken by others.

    `oom_kills` is what the kernel had counted before it was there.
    """

    pid: int
    oom_kills: int = 0
    ended: str | None = None
    is_foreign: bool = False


@dataclass(slots=True, kw_only=True)
class LocalFleet:
    """The workers whose files lie in `folder`. `lifeline_fd` is the read end they inherit, None for none.

    `oom_kills` counts processes that the kernel killed because memory ran out.
    """

    folder: Path
    lifeline_fd: int | None = None
    oom_kills: Callable[[], int] = oom_kills
    _children: dict[str, _Child] = field(default_factory=dict)
    _unreaped: list[_Child] = field(default_factory=list)

    async def launch(self, launch: Launch, *, labels: Mapping[str, str]) -> None:
        """Start a worker and return at once.

        Raises WorkerFailed when its Python cannot be started, StoreFailed when it cannot be written down.
        """
        files = FleetFiles(self.folder)
        name = launch.spec.name
        entry = FleetEntry(name=name, labels=labels, launched_at_s=time.time(), host=launch.spec.host)
        killed_before = self.oom_kills()
        try:
            files.begin(entry, launch.spec)
        except StoreFailed:
            with contextlib.suppress(StoreFailed):
                files.remove(name)
            raise
        try:
            pid = self._spawn(launch, files)
        except OSError as error:
            files.remove(name)
            raise WorkerFailed(
                f"worker {name} cannot be started with {launch.python}: {error.strerror}",
                hint="Make the runtime's environment again: tokenforge runtimes install",
            ) from error
        self._children[name] = _Child(pid, oom_kills=killed_before)
        files.write(replace(entry, process=mark_of(pid)))

    async def look(self) -> Sequence[Sighting]:
        """Every worker that is not forgotten."""
        self._unreaped = [child for child in self._unreaped if _is_running(child)]
        files = FleetFiles(self.folder)
        return [self._sight(files, entry) for entry in files.entries()]

    async def stop(self, name: str, *, is_forced: bool) -> None:
        """SIGTERM to the worker, or SIGKILL to its whole group."""
        files = FleetFiles(self.folder)
        entry = files.entry(name)
        if entry is None:
            return
        if entry.stopping_since_s is None:
            files.write(replace(entry, stopping_since_s=time.time()))
        mark = _mark(entry, files.state(name))
        if mark is None or not is_alive(mark):
            return
        if is_forced:
            kill_group(mark.pid)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(mark.pid, 15)

    async def forget(self, name: str) -> None:
        """Kill what is left of its group, remove its files; its log stays, with those of a few before it."""
        files = FleetFiles(self.folder)
        entry = files.entry(name)
        mark = None if entry is None else _mark(entry, files.state(name))
        if mark is not None and members(mark.pid) and not is_another(mark):
            kill_group(mark.pid)
        files.remove(name)
        child = self._children.pop(name, None)
        if child is not None and not await _is_reaped(child, limit_s=_REAP_LIMIT_S):
            self._unreaped.append(child)

    def _spawn(self, launch: Launch, files: FleetFiles) -> int:
        """Start the process in a session of its own; nothing here waits for its end. Returns its id."""
        name = launch.spec.name
        arguments = [str(launch.python), *WORKER_MODULE, str(files.spec_path(name))]
        arguments += ["--state-file", str(files.state_path(name))]
        if self.lifeline_fd is not None:
            os.set_inheritable(self.lifeline_fd, True)
            arguments += ["--lifeline-fd", str(self.lifeline_fd)]
        log_flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawn(
            arguments[0],
            arguments,
            dict(launch.process_env),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(files.log_path(name)), log_flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )

    def _sight(self, files: FleetFiles, entry: FleetEntry) -> Sighting:
        state = files.state(entry.name)
        mark = _mark(entry, state)
        alive = _is_born(entry, files) if mark is None else is_alive(mark)
        child = self._children.get(entry.name)
        if child is not None and not child.is_foreign:  # only now: it may have died while it was looked at
            alive = _is_running(child)
        said = None if state is None else state.said
        host = f"[{entry.host}]" if ":" in entry.host else entry.host
        is_coming = said is None or said.phase in (WorkerPhase.STARTING, WorkerPhase.LOADING)
        is_failed = not alive or (said is not None and said.phase is WorkerPhase.FAILED)
        return Sighting(
            name=entry.name,
            labels=entry.labels,
            phase=WorkerPhase.STARTING if said is None else said.phase,
            is_alive=alive,
            launched_at_s=entry.launched_at_s,
            url="" if said is None or said.port == 0 else f"http://{host}:{said.port}",
            info=None if said is None else said.info,
            stopping_since_s=entry.stopping_since_s,
            cause=None if said is None else said.cause,
            code=None if said is None else said.code,
            ending="" if child is None or child.ended is None else child.ended,
            last_words=files.last_words(entry.name) if is_failed or is_coming else (),
            oom_kills=self.oom_kills() - child.oom_kills if is_failed and child is not None else 0,
        )


def end_fleet(folder: Path, *, limit_s: float) -> int:
    """Wait `limit_s` for every worker of `folder` to end, kill what is left, remove its files. Returns how many."""
    files = FleetFiles(folder)
    entries = files.entries()
    marks = {entry.name: _mark(entry, files.state(entry.name)) for entry in entries}
    until = time.monotonic() + limit_s
    while any(mark is not None and is_alive(mark) for mark in marks.values()) and time.monotonic() < until:
        time.sleep(0.05)
    for name, mark in marks.items():
        if mark is not None and not is_another(mark):
            kill_group(mark.pid)
        files.remove(name)
    return len(entries)


def _is_running(child: _Child) -> bool:
    """Whether it has not ended; notes how it did. One that is dying runs until the kernel tells its end."""
    if child.ended is not None or child.is_foreign:
        return False
    try:
        pid, status = os.waitpid(child.pid, os.WNOHANG)
    except ChildProcessError:
        child.is_foreign = True
        return False
    if pid:
        child.ended = ending_of(os.waitstatus_to_exitcode(status))
    return pid == 0


async def _is_reaped(child: _Child, *, limit_s: float) -> bool:
    """Wait that long for a killed child to be gone, so that it does not stay as a zombie."""
    until = time.monotonic() + limit_s
    while _is_running(child):
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.005)
    return True


def _is_born(entry: FleetEntry, files: FleetFiles) -> bool:
    """Whether a process was started for an entry that names none: its launcher died in the midst of the launch."""
    if time.time() - entry.launched_at_s < _BIRTH_LIMIT_S:
        return True
    spec = str(files.spec_path(entry.name))
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if spec in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                return True
    return False


def _mark(entry: FleetEntry, state: WorkerState | None) -> ProcessMark | None:
    """Which process it is: as its launcher noted, or as it says itself where the launcher was cut short."""
    if entry.process is not None:
        return entry.process
    return None if state is None else ProcessMark(pid=state.pid, started_s=state.started_s, boot=state.boot)
