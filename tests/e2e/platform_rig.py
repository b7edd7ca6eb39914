"""`tokenforge up` as a user runs it, in a home of its own, with the means to hurt it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from command import COMMAND
from own_children import words_of


@dataclass(slots=True)
class Up:
    """A running platform: its process, its address, its home."""

    process: "subprocess.Popen[bytes]"
    url: str
    env: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
        """`tokenforge ARGUMENTS` on this platform."""
        return subprocess.run(
            [*COMMAND, *arguments], env=self.env, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=self.headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def part(self, name: str) -> psutil.Process:
        """Its `gateway` or `control` process."""
        (found,) = self.parts(name)
        return found

    def parts(self, name: str) -> list[psutil.Process]:
        """All of them, where there are several."""
        return [p for p in psutil.Process(self.process.pid).children() if name in words_of(p)[:5]]

    def workers(self) -> list[psutil.Process]:
        """Every process of a worker."""
        return [p for p in self.everything() if "tokenforge.worker" in words_of(p)]

    def everything(self) -> list[psutil.Process]:
        """Every living process that knows this home by its environment."""
        home = self.env["TOKENFORGE_HOME"]
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                is_ours = process.environ().get("TOKENFORGE_HOME") == home
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


@contextlib.contextmanager
def up(home: Path, arguments: Sequence[str] = (), /, **settings: str) -> Iterator[Up]:
    """Run it on a free port until the end of the block; then nothing may be left."""
    home.mkdir(exist_ok=True)
    port = free_port()
    env = {**os.environ, "TOKENFORGE_HOME": str(home), "HF_HUB_OFFLINE": "1", "COLUMNS": "160", **settings}
    url = f"http://127.0.0.1:{port}"
    env["TOKENFORGE_SERVER"] = url
    with (home / "up.log").open("ab") as log:
        process = subprocess.Popen([*COMMAND, "up", "--port", str(port), *arguments], env=env, stdout=log, stderr=log)
    platform = Up(process, url, env)
    try:
        wait_for(lambda: is_live(url), limit_s=60)
        yield platform
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(40)
        for left in platform.everything():
            left.kill()


def own_home(folder: Path, home: Path) -> Path:
    """`folder` as a home of its own, with the environments of `home`, which are made once."""
    (home / "environments").mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    (folder / "environments").symlink_to(home / "environments")
    return folder


def is_live(url: str) -> bool:
    """Whether a gateway answers there."""
    return answers(f"{url}/health/live")


def answers(url: str) -> bool:
    """Whether something answers 200 there."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_port() -> int:
    """One that nobody listens on."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(is_so: Callable[[], bool], *, limit_s: float) -> float:
    """Wait until it is so; the seconds it took."""
    began = time.monotonic()
    while not is_so():
        if time.monotonic() - began > limit_s:
            raise AssertionError(f"not so after {limit_s} s")
        time.sleep(0.05)
    return time.monotonic() - began
