"""`up`: the platform on one machine. Starts gateway and control, starts them again when they die, ends everything.

It holds what must outlive them: the listening sockets, one for each gateway (so a client that comes while its gateway
restarts waits in the kernel's queue), and the write end of the lifeline (so nothing outlives this process, however it
ends). It reads no request and knows no deployment.
"""

import contextlib
import ctypes
import fcntl
import itertools
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tokenforge.cli.keys import has_key, require_key
from tokenforge.cli.part import Part, end_leftovers, write_ledger
from tokenforge.cli.platform_places import fleet_folder
from tokenforge.cli.pulse import Pulse
from tokenforge.cli.server import platform_folder
from tokenforge.cluster.local_fleet import end_fleet
from tokenforge.cluster.log_file import trim_logs
from tokenforge.domain.errors import AlreadyExists
from tokenforge.protocol.listening import bind_several
from tokenforge.settings import Settings, read_settings
from tokenforge.worker.process import raise_file_limit

_TICK_S = 0.1
_TRIM_TICKS = 50
_GATEWAY_LIMIT_S = 25.0
_CONTROL_LIMIT_S = 5.0
_WORKERS_LIMIT_S = 5.0
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(slots=True)
class _Signals:
    """How often one asked for the end: the second time one is in a hurry."""

    asked: int = 0

    def watch(self) -> None:
        """Note SIGINT and SIGTERM instead of dying of them."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def is_asked(self) -> bool:
        """Whether it is to end."""
        return self.asked > 0

    def is_hurried(self) -> bool:
        """Whether it is to end at once."""
        return self.asked > 1

    def _note(self, number: int, frame: object) -> None:
        del number, frame
        self.asked += 1


def run(*, host: str, port: int, gateways: int) -> int:
    """Run until Ctrl-C or SIGTERM; leaves no process. Raises PortInUse, AlreadyExists (it runs for this home)."""
    signals = _Signals()
    signals.watch()
    settings = read_settings()
    folder = platform_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder):
        require_key(host)
        _adopt_grandchildren()
        end_leftovers(folder)
        end_fleet(fleet_folder(settings), limit_s=0.0)
        raise_file_limit()
        listeners = bind_several(host, port, gateways)
        try:
            _keep(settings, listeners, host=host, signals=signals)
        finally:
            for listener in listeners:
                listener.close()
    return 0


def _keep(settings: Settings, listeners: Sequence[socket.socket], *, host: str, signals: _Signals) -> None:
    """Keep the parts until one asks for the end, then end everything."""
    folder = platform_folder(settings)
    url = f"http://{'127.0.0.1' if host in ('', '0.0.0.0') else host}:{listeners[0].getsockname()[1]}"
    lifeline_read, lifeline_write = os.pipe()
    parts = _parts(folder, socket_fds=[one.fileno() for one in listeners], lifeline_fd=lifeline_read)
    place = _announce(settings, url)
    pulse = Pulse(_reachable(listeners[0]))
    pulse.begin()
    try:
        _greet(url, folder)
        for tick in itertools.count():
            if signals.is_asked():
                break
            _tend(parts, folder, pulse)
            if tick % _TRIM_TICKS == 0:
                trim_logs((*folder.glob("*.log"), *fleet_folder(settings).glob("*.log")))
            time.sleep(_TICK_S)
        _say("ending: requests in flight have a moment to finish; once more to end at once")
    finally:
        place.unlink(missing_ok=True)
        for listener in listeners:
            listener.close()
        *gateways, control = parts
        for gateway in gateways:
            if gateway.process is not None:
                gateway.process.terminate()  # all begin to drain at once
        for gateway in gateways:
            gateway.end(limit_s=_GATEWAY_LIMIT_S, is_hurried=signals.is_hurried)
        control.end(limit_s=_CONTROL_LIMIT_S, is_hurried=signals.is_hurried)
        os.close(lifeline_write)
        os.close(lifeline_read)
        end_fleet(fleet_folder(settings), limit_s=_WORKERS_LIMIT_S)
        end_leftovers(folder)
        _reap(set())


def _tend(parts: Sequence[Part], folder: Path, pulse: Pulse) -> None:
    """One look: start what is not there, or hangs; take the end of what was adopted."""
    now_s = time.monotonic()
    started = [part.keep(now_s, _say) for part in parts]
    if any(started[:-1]):
        pulse.begin_anew()
    if pulse.is_lost:
        for gateway in parts[:-1]:  # whichever was asked: the kernel chose
            gateway.replace("lives and does not answer", _say)
        pulse.begin_anew()
    if any(started):
        with contextlib.suppress(OSError):  # a full disk: they run, only the next `up` would not know of them
            write_ledger(folder, parts)
    _reap({part.process.pid for part in parts if part.process is not None})


def _reachable(listener: socket.socket) -> tuple[str, int]:
    """Where this machine reaches it."""
    host, port = listener.getsockname()[:2]
    return ({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port)


def _greet(url: str, folder: Path) -> None:
    _say(f"TokenForge is up at {url} (state and logs: {folder})")
    _say(f"  deploy:  tokenforge deploy synthetic:tiny --runtime sim --server {url}")
    if not has_key():
        _say("  keys:    none, so whoever is on this machine may do all (tokenforge keys create makes one)")
    _say("  end:     Ctrl-C")


def _parts(folder: Path, *, socket_fds: Sequence[int], lifeline_fd: int) -> tuple[Part, ...]:
    """The gateways, and control last."""
    lifeline = ("--lifeline-fd", str(lifeline_fd))
    names = ["gateway", *(f"gateway-{number}" for number in range(2, len(socket_fds) + 1))]
    gateways = [
        Part(
            name=name,
            arguments=("gateway", "--socket-fd", str(socket_fd), *lifeline),
            fds=(socket_fd, lifeline_fd),
            log_path=folder / f"{name}.log",
        )
        for name, socket_fd in zip(names, socket_fds, strict=True)
    ]
    control = Part(
        name="control",
        # the same for each that is started here: one follows only on the death of the one before, so it need not wait
        arguments=("control", "--owner", f"up-{os.getpid()}-{time.time_ns()}", *lifeline),
        fds=(lifeline_fd,),
        log_path=folder / "control.log",
    )
    return *gateways, control


def _lock(folder: Path) -> BinaryIO:
    """One `up` for one home."""
    lock = (folder / "up.lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise AlreadyExists(
            f"TokenForge is up already with its state in {folder}",
            hint="Use that one, or set TOKENFORGE_HOME to another folder",
        ) from None
    return lock


def _announce(settings: Settings, url: str) -> Path:
    place = platform_folder(settings) / "up.json"
    place.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    return place


def _adopt_grandchildren() -> None:
    """Become the parent of workers whose control died, so that they leave no zombies. Linux only; else init does."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap(ours: set[int]) -> None:
    """Take the end of adopted processes; that of our own is theirs to tell."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in ours:
            return
        os.waitpid(ended.si_pid, 0)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
