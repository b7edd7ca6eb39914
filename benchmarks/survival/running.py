"""A platform that runs: `tokenforge up` in a home of its own, its processes as the kernel sees them, calls to its API.

Nothing here asks the platform how it is: processes, descriptors and memory are read from the kernel, and the lease of
control from the database, so that a platform which is wrong about itself is seen.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil

COMMAND = (sys.executable, "-c", "from tokenforge.cli.main import run; run()")
_UP_LIMIT_S = 30.0
_END_LIMIT_S = 60.0
_CALL_LIMIT_S = 5.0
_UNIX_DAYS = 2440587.5
_MARK = "TOKENFORGE_SURVIVAL_MARK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One process now. `kind` is `up`, `gateway`, `control`, `worker`, `benchmark`, `driver` or `child`.

    `name` is that of a worker. `rss_bytes` and `descriptors` are 0 for a zombie.
    """

    pid: int
    kind: str
    name: str = ""
    rss_bytes: int = 0
    descriptors: int = 0
    is_zombie: bool = False


@dataclass(slots=True, kw_only=True)
class Running:
    """A running platform."""

    process: "subprocess.Popen[bytes]"
    url: str
    home: Path
    mark: str
    session: aiohttp.ClientSession

    async def call(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of one call. Raises aiohttp.ClientError, TimeoutError (5 s)."""
        limit = aiohttp.ClientTimeout(total=_CALL_LIMIT_S)
        url = self.url + path
        async with self.session.request(method, url, json=body, headers=headers, timeout=limit) as answer:
            return answer.status, await answer.json(content_type=None)

    def processes(self) -> list[Seen]:
        """Everything that was started by it: known by a mark in the environment, which every child inherits."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if self._is_ours(process):
                    found.append(_seen(process))
        return found

    def one(self, kind: str) -> Seen | None:
        """The living process of that kind."""
        return next((seen for seen in self.processes() if seen.kind == kind and not seen.is_zombie), None)

    def workers(self) -> dict[str, int]:
        """Process id by worker."""
        return {seen.name: seen.pid for seen in self.processes() if seen.kind == "worker" and not seen.is_zombie}

    def led_at_s(self) -> float:
        """When control last took or prolonged its lease (Unix seconds); 0 when nobody leads."""
        place = self.home / "platform" / "platform.db"
        with contextlib.closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True, timeout=2.0)) as db:
            row = db.execute(
                f"SELECT expires_at_s, (julianday('now') - {_UNIX_DAYS}) * 86400.0 FROM lease WHERE name = 'control'"
            ).fetchone()
        return 0.0 if row is None or row[0] < row[1] else float(row[0]) - _lease_s()

    async def end(self) -> list[Seen]:
        """Ask it to end, as Ctrl-C does; what is still there afterwards (and is then killed)."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            await asyncio.to_thread(self.process.wait, _END_LIMIT_S)
        left = self.processes()
        for seen in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(seen.pid, signal.SIGKILL)
        return left

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.status() == psutil.STATUS_ZOMBIE:
            parent = process.parent()
            return parent is not None and parent.environ().get(_MARK) == self.mark
        return process.environ().get(_MARK) == self.mark


@asynccontextmanager
async def platform(home: Path, *, environ: Mapping[str, str]) -> AsyncIterator[Running]:
    """`tokenforge up` on a free port; at the end nothing of it is left. `environ` is added to this process's own."""
    port = free_port()
    mark = uuid.uuid4().hex
    process = await asyncio.to_thread(_start, home, port, {**environ, _MARK: mark})
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:
        running = Running(process=process, url=f"http://127.0.0.1:{port}", home=home, mark=mark, session=session)
        try:
            await until_live(running)
            yield running
        finally:
            await running.end()


def _start(home: Path, port: int, environ: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    home.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "TOKENFORGE_HOME": str(home), "HF_HUB_OFFLINE": "1", **environ}
    env.pop("TOKENFORGE_SERVER", None)
    with (home / "up.log").open("ab") as log:
        return subprocess.Popen([*COMMAND, "up", "--port", str(port)], env=env, stdout=log, stderr=log)


async def until_live(running: Running) -> None:
    """Wait for the first answer. Raises TimeoutError."""
    async with asyncio.timeout(_UP_LIMIT_S):
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                if (await running.call("GET", "/health/live"))[0] == 200:
                    return
            await asyncio.sleep(0.05)


def free_port() -> int:
    """One that nobody listens on."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _lease_s() -> float:
    from tokenforge.control.loop import LEASE_TTL_S

    return LEASE_TTL_S


def _seen(process: psutil.Process) -> Seen:
    if process.status() == psutil.STATUS_ZOMBIE:
        return Seen(pid=process.pid, kind="zombie", is_zombie=True)
    kind, name = kind_of(process.cmdline())
    rss, descriptors = process.memory_info().rss, process.num_fds()
    return Seen(pid=process.pid, kind=kind, name=name, rss_bytes=rss, descriptors=descriptors)


def kind_of(words: list[str]) -> tuple[str, str]:
    """What a command line runs, and the name of its worker."""
    if "tokenforge.worker" in words:
        spec = next((word for word in words if word.endswith(".spec.json")), "")
        return "worker", Path(spec).name.removesuffix(".spec.json")
    if "tokenforge.bench.driver" in words:
        return "driver", ""
    for word, kind in (("gateway", "gateway"), ("control", "control"), ("run-queued", "benchmark"), ("up", "up")):
        if word in words[:6]:
            return kind, ""
    return "child", ""
