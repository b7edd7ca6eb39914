"""A server that TokenForge starts from a command line, watches, and stops with everything it started.

It runs under a guard (`openai_guard`) in a process group of its own, inside our session: the group ends when it is
asked to, when we are killed, and when our own session is ended.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from typing import IO

from tokenforge.runtimes import openai_guard

_LAST_BYTES = 4_000
_LEAST_GRACE_S = 1.0
_POLL_S = 0.05


class ServerCommand:
    """One process group for one server. `{port}` in a word becomes a free port, `{model}` the model's folder or id."""

    def __init__(self, words: Sequence[str], *, model: str) -> None:
        self.port = _free_port()
        self._words = [word.replace("{port}", str(self.port)).replace("{model}", model) for word in words]
        self._log: IO[bytes] | None = None
        self._guard: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it. A program that is not there shows as an exit code, with the reason in its last words."""
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open until the server is stopped
        self._guard = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", openai_guard.__file__, *self._words),
            stdin=asyncio.subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return None if self._guard is None else self._guard.returncode

    async def ended(self, *, timeout_s: float) -> bool:
        """Wait for its end, at most `timeout_s`; whether it came."""
        if self._guard is None:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._guard.wait()
        return self.exit_code is not None

    def last_words(self, lines: int = 10) -> str:
        """The end of its output; empty before `start` and after `stop`."""
        if self._log is None:
            return ""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LAST_BYTES))
        return "\n".join(self._log.read().decode(errors="replace").splitlines()[-lines:])

    async def stop(self, grace_s: float) -> None:
        """SIGTERM to the group; SIGKILL to what is left of it after `grace_s`. Idempotent."""
        guard, self._guard = self._guard, None
        if guard is not None:
            _signal(guard, signal.SIGTERM)
            try:
                async with asyncio.timeout(max(grace_s, _LEAST_GRACE_S)):
                    await guard.wait()
                    while _signal(guard, 0):  # noqa: ASYNC110 - children that outlive the server tell nobody
                        await asyncio.sleep(_POLL_S)
            except TimeoutError:
                _signal(guard, signal.SIGKILL)
                await guard.wait()
        if self._log is not None:
            self._log.close()
            self._log = None


def _signal(guard: asyncio.subprocess.Process, number: int) -> bool:
    """Whether there was anyone in its group to get it. A guard that leads no group yet has no server either."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(guard.pid, number)
        return True
    with contextlib.suppress(ProcessLookupError):
        guard.send_signal(number)
        return guard.returncode is None
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
