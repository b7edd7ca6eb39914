"""`up`: the platform on one machine. Starts gateway and control, starts them again when they die, ends everything.

It holds what must outlive them: the listening socket (so a client that comes while the gateway restarts waits in the
kernel's queue) and the write end of the lifeline (so nothing outlives this process, however it ends). It reads no
request and knows no deployment.
"""

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tokenforge.cli.keys import has_key, require_key
from tokenforge.cli.platform_wiring import fleet_folder
from tokenforge.cli.server import platform_folder
from tokenforge.cluster.local_fleet import end_fleet
from tokenforge.domain.errors import AlreadyExists
from tokenforge.protocol.serving import bind
from tokenforge.settings import Settings, read_settings
from tokenforge.worker.process import raise_file_limit

_TICK_S = 0.1
_GATEWAY_LIMIT_S = 25.0
_CONTROL_LIMIT_S = 5.0
_WORKERS_LIMIT_S = 5.0
_MOST_BACK_OFF_S = 5.0
_CALM_S = 30.0
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(slots=True, kw_only=True)
class _Part:
    """One of the two processes: how it is started, and how often it had to be."""

    name: str
    arguments: tuple[str, ...]
    fds: tuple[int, ...]
    log_path: Path
    process: "subprocess.Popen[bytes] | None" = None
    started_s: float = 0.0
    deaths: int = 0
    next_s: float = 0.0

    def keep(self, now_s: float, say: Callable[[str], None]) -> None:
        """Start it when it is not there, later and later when it does not stay."""
        if self.process is not None and (code := self.process.poll()) is not None:
            self.deaths = 0 if now_s - self.started_s > _CALM_S else self.deaths + 1
            self.next_s = now_s + (0.0 if self.deaths <= 1 else min(_MOST_BACK_OFF_S, 0.25 * 2**self.deaths))
            self.process = None
            say(f"{self.name} ended (status {code}) and is started again; its log is {self.log_path}")
        if self.process is None and now_s >= self.next_s:
            self.started_s = now_s
            with self.log_path.open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "tokenforge.cli", *self.arguments],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=self.fds, start_new_session=True,
                )  # fmt: skip

    def end(self, *, limit_s: float) -> None:
        """SIGTERM, then SIGKILL."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass(slots=True)
class _Signals:
    """Whether one asked for the end."""

    is_asked: bool = False
    since: list[int] = field(default_factory=list)

    def watch(self) -> None:
        """Note SIGINT and SIGTERM instead of dying of them."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        del frame
        self.since.append(number)
        self.is_asked = True


def run(*, host: str, port: int) -> int:
    """Run until Ctrl-C or SIGTERM; leaves no process. Raises PortInUse, AlreadyExists (it runs for this home)."""
    settings = read_settings()
    folder = platform_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder)
    require_key(host)
    listener = bind(host, port)
    url = f"http://{'127.0.0.1' if host in ('', '0.0.0.0') else host}:{listener.getsockname()[1]}"
    raise_file_limit()
    _adopt_grandchildren()
    end_fleet(fleet_folder(settings), limit_s=0.0)
    signals = _Signals()
    signals.watch()
    lifeline_read, lifeline_write = os.pipe()
    parts = _parts(folder, socket_fd=listener.fileno(), lifeline_fd=lifeline_read)
    place = _announce(settings, url)
    try:
        _say(f"TokenForge is up at {url} (state and logs: {folder})")
        _say(f"  deploy:  tokenforge deploy synthetic:tiny --runtime sim --server {url}")
        if not has_key():
            _say("  keys:    none, so whoever is on this machine may do all (tokenforge keys create makes one)")
        _say("  end:     Ctrl-C")
        while not signals.is_asked:
            for part in parts:
                part.keep(time.monotonic(), _say)
            _reap({part.process.pid for part in parts if part.process is not None})
            time.sleep(_TICK_S)
        _say("ending: requests in flight have a moment to finish")
    finally:
        place.unlink(missing_ok=True)
        listener.close()
        gateway, control = parts
        gateway.end(limit_s=_GATEWAY_LIMIT_S)
        control.end(limit_s=_CONTROL_LIMIT_S)
        os.close(lifeline_write)
        end_fleet(fleet_folder(settings), limit_s=_WORKERS_LIMIT_S)
        _reap(set())
        lock.close()
    return 0


def _parts(folder: Path, *, socket_fd: int, lifeline_fd: int) -> tuple[_Part, _Part]:
    lifeline = ("--lifeline-fd", str(lifeline_fd))
    gateway = _Part(
        name="gateway",
        arguments=("gateway", "--socket-fd", str(socket_fd), *lifeline),
        fds=(socket_fd, lifeline_fd),
        log_path=folder / "gateway.log",
    )
    control = _Part(
        name="control",
        # the same for each that is started here: one follows only on the death of the one before, so it need not wait
        arguments=("control", "--owner", f"up-{os.getpid()}-{time.time_ns()}", *lifeline),
        fds=(lifeline_fd,),
        log_path=folder / "control.log",
    )
    return gateway, control


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
    """Take the end of adopted processes; that of our own two is theirs to tell."""
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
