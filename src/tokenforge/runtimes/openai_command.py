"""A server that TokenForge starts from a command line, watches, and stops with everything it started."""

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Sequence
from typing import IO

_LAST_BYTES = 4_000


class ServerCommand:
    """One process group for one server. `port` is free when it is chosen, and put in for `{port}`."""

    def __init__(self, words: Sequence[str]) -> None:
        self.port = _free_port()
        self._words = [word.replace("{port}", str(self.port)) for word in words]
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it in a session of its own. Raises OSError when the program is not there."""
        self._process = await asyncio.create_subprocess_exec(
            *self._words, stdin=asyncio.subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True
        )

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return None if self._process is None else self._process.returncode

    def last_words(self, lines: int = 10) -> str:
        """The end of its output."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LAST_BYTES))
        return "\n".join(self._log.read().decode(errors="replace").splitlines()[-lines:])

    async def stop(self, grace_s: float) -> None:
        """SIGTERM to the group, SIGKILL after `grace_s`. Idempotent."""
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), max(grace_s, 1.0))
        self._log.close()
        self._process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
