"""A gateway under load: started, loaded, and read from /proc: CPU time and memory of its processes."""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from gateway.peers import DIRECT, UPSTREAM_PORT, Launch, Peer
from gateway.seed import MODEL
from harness.home import CannotInstall, Home
from harness.truth import compiled

GATEWAY_PORT = 18_600
_HERE = Path(__file__).parent
_START_LIMIT_S = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """One that runs. `start_s`: from its start until a request came back through it."""

    port: int
    headers: tuple[str, ...]
    processes: tuple[psutil.Process, ...]
    start_s: float

    def cpu_s(self) -> float:
        """CPU time so far, of all its processes."""
        total = 0.0
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def rss_mb(self) -> float:
        """Memory now, the largest of its processes."""
        sizes = [0.0]
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                sizes.append(process.memory_info().rss / 1e6)
        return max(sizes)

    def _tree(self) -> list[psutil.Process]:
        found = []
        for process in self.processes:
            with contextlib.suppress(psutil.Error):
                found += [process, *process.children(recursive=True)]
        return found


@contextlib.contextmanager
def upstream(*, slots: int = 0) -> Iterator[None]:
    """The upstream, until the end of the block."""
    command = [str(compiled(_HERE / "upstream.c")), "--port", str(UPSTREAM_PORT), "--slots", str(slots)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def started(peer: Peer, home: Home) -> Iterator[Gateway]:
    """Run it until the end of the block. Raises CannotInstall when it does not come up."""
    if peer.name == DIRECT:
        yield Gateway(port=UPSTREAM_PORT, headers=(), processes=(), start_s=0.0)
        return
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as ending:
        folder = Path(place)
        launch = peer.launch(home, folder, GATEWAY_PORT)
        log = ending.enter_context((folder / "log").open("wb"))
        began_s = time.monotonic()
        children = [_spawn(command, launch, log.fileno()) for command in (launch.command, *launch.more_commands)]
        ending.callback(_end, children)
        start_s = _until_ready(launch, children, began_s, folder / "log")
        processes = tuple(psutil.Process(child.pid) for child in children)
        yield Gateway(port=GATEWAY_PORT, headers=launch.headers, processes=processes, start_s=start_s)


def load(gateway: Gateway, mode: str, body: Mapping[str, object], **options: float) -> dict[str, Any]:
    """Offer a load; what the load generator saw."""
    command = [str(compiled(_HERE / "load.c")), "--mode", mode, "--port", str(gateway.port)]
    command += ["--body", json.dumps({"model": MODEL, "prompt": "some words, as a chat has them", **body})]
    command += ["--headers", "".join(f"{line}\r\n" for line in gateway.headers)]
    for name, value in options.items():
        command += [f"--{name}", f"{value:g}"]
    limit_s = 60.0 + options["seconds"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=limit_s)
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def _spawn(command: object, launch: Launch, log: int) -> "subprocess.Popen[bytes]":
    assert isinstance(command, tuple | list)
    env = {**os.environ, **launch.env}
    return subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)


def _until_ready(launch: Launch, children: list["subprocess.Popen[bytes]"], began_s: float, log: Path) -> float:
    headers = dict(line.split(": ", 1) for line in launch.headers)
    body = json.dumps({"model": MODEL, "prompt": "p", "max_tokens": 1}).encode()
    url = f"http://127.0.0.1:{GATEWAY_PORT}/v1/completions"
    request = urllib.request.Request(url, data=body, headers={**headers, "content-type": "application/json"})
    while time.monotonic() - began_s < _START_LIMIT_S:
        with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(request, timeout=5) as answer:
            if answer.status == 200:
                return time.monotonic() - began_s
        if any(child.poll() is not None for child in children):
            break
        time.sleep(0.02)
    words = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    raise CannotInstall(
        f"no request passed within {time.monotonic() - began_s:.0f} s; its last words: {words[0][:160]}"
    )


def _end(children: list["subprocess.Popen[bytes]"]) -> None:
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
    for child in children:
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
