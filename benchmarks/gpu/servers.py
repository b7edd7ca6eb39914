"""A server that is not ours, from its command to its end: started in a group of its own, waited for, ended whole."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_POLL_S = 0.5
_GRACE_S = 20.0


class NotUp(RuntimeError):
    """A server that ended, or did not answer in time. The message has its last words."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(
    command: Sequence[str], *, url: str, log: Path, env: Mapping[str, str], limit_s: float
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` while the block does, which begins once `url` answers. Raises NotUp."""
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=dict(env), start_new_session=True)
        try:
            _wait(process, url, log=log, limit_s=limit_s)
            yield process
        finally:
            _end(process)


def _wait(process: "subprocess.Popen[bytes]", url: str, *, log: Path, limit_s: float) -> None:
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if process.poll() is not None:
            raise NotUp(f"the server ended with code {process.returncode}: {_last_words(log)}")
        with suppress(OSError), urllib.request.urlopen(url, timeout=2.0):
            return
        time.sleep(_POLL_S)
    raise NotUp(f"{url} did not answer within {limit_s:g} s: {_last_words(log)}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the group to end; kill what is left of it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_words(log: Path) -> str:
    return " / ".join(log.read_text(errors="replace").splitlines()[-5:])
