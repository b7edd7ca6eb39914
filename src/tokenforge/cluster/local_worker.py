"""One worker process, seen from its parent: its phases, its end, its last words."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from tokenforge.cluster.fleet_files import tail
from tokenforge.cluster.local_group import cpu_seconds, kill_group, members
from tokenforge.domain.errors import InvalidInput, PortInUse, WorkerFailed
from tokenforge.domain.generation import RuntimeInfo
from tokenforge.domain.worker import WorkerSpec
from tokenforge.protocol.worker_spec import Announcement, WorkerPhase, announcement_from_line

_KILL_LIMIT_S = 5.0

WORKER_MODULE = ("-P", "-m", "tokenforge.worker")
"""What a worker's Python runs. `-P`: a folder named like a package where the user stands must not be imported."""


class LocalWorker:
    """A started worker. From the moment it ends, whatever is left of its group is killed."""

    def __init__(
        self,
        spec: WorkerSpec,
        *,
        process: asyncio.subprocess.Process,
        announcements: asyncio.StreamReader,
        lifeline_fd: int,
        log_path: Path,
        ledger_entry: Path | None,
    ) -> None:
        self.log_path = log_path
        self._spec = spec
        self._process = process
        self._lifeline_fd = lifeline_fd
        self._ledger_entry = ledger_entry
        self._news: asyncio.Queue[Announcement | None] = asyncio.Queue()
        self._latest = Announcement(port=0, phase=WorkerPhase.STARTING)
        self._is_asked_to_end = False
        self._listening = asyncio.create_task(self._listen(announcements))
        self._ended = asyncio.create_task(self._watch_end())

    @property
    def name(self) -> str:
        """The name in its spec."""
        return self._spec.name

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group and session."""
        return self._process.pid

    @property
    def drain_s(self) -> float:
        """How long it may let streams go on after a stop."""
        return self._spec.drain_s

    @property
    def url(self) -> str:
        """Its base URL; known after `ready`."""
        host = f"[{self._spec.host}]" if ":" in self._spec.host else self._spec.host
        return f"http://{host}:{self._latest.port}"

    async def ready(self, *, timeout_s: float, on_phase: Callable[[str], None] | None = None) -> RuntimeInfo:
        """Wait until it serves; each new phase goes to `on_phase`.

        Raises WorkerFailed with its last words when it ends or takes longer than `timeout_s`, PortInUse when its port
        was taken meanwhile.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    news = await self._news.get()
                    if news is None:
                        raise await self._failure()
                    if on_phase is not None:
                        on_phase(news.phase.value)
                    if news.phase is WorkerPhase.READY:
                        return self._info(news)
        except TimeoutError:
            message = f"worker {self.name} was not ready after {timeout_s:g} s (phase {self._latest.phase.value})"
            raise WorkerFailed(
                message, hint=f"Give it more time, or read {self.log_path}", last_words=self.last_words()
            ) from None

    async def exited(self) -> WorkerFailed:
        """Wait until it ends without having been asked to, then say why."""
        await asyncio.shield(self._ended)
        if self._is_asked_to_end:
            await asyncio.Future[None]()
        return self._why()

    def cpu_s(self) -> float | None:
        """CPU seconds of its whole group; a child that has ended counts no more."""
        return cpu_seconds(self.pid)

    def last_words(self, lines: int = 20) -> Sequence[str]:
        """The final lines of its log, newest last."""
        return tail(self.log_path, lines)

    async def stop(self, *, grace_s: float) -> None:
        """Ask it to end, wait `grace_s`, then kill its whole group. Idempotent; leaves no process."""
        self._is_asked_to_end = True
        if not self._ended.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            await asyncio.wait({self._ended}, timeout=grace_s)
        if not self._ended.done():
            kill_group(self.pid)
        await asyncio.wait({self._ended}, timeout=_KILL_LIMIT_S)

    async def _watch_end(self) -> None:
        """When the process ends, end its group and forget it. Runs however it ended."""
        await self._process.wait()
        await self._sweep()
        await asyncio.wait({self._listening}, timeout=1.0)
        self._listening.cancel()
        if self._lifeline_fd >= 0:
            os.close(self._lifeline_fd)
            self._lifeline_fd = -1
        if self._ledger_entry is not None:
            self._ledger_entry.unlink(missing_ok=True)

    async def _sweep(self) -> None:
        """Kill the group until no member is left; a child may be born while we look."""
        for pause_s in (0.0, 0.02, 0.05, 0.1, 0.2, 0.5):
            kill_group(self.pid)
            await asyncio.sleep(pause_s)
            if not members(self.pid):
                return

    async def _listen(self, announcements: asyncio.StreamReader) -> None:
        try:
            while line := await announcements.readline():
                with contextlib.suppress(InvalidInput):
                    self._latest = announcement_from_line(line)
                    self._news.put_nowait(self._latest)
        finally:
            self._news.put_nowait(None)

    async def _failure(self) -> WorkerFailed | PortInUse:
        """Why no more phases come: the process has ended, or is about to."""
        await asyncio.wait({self._ended}, timeout=_KILL_LIMIT_S)
        if self._latest.code == PortInUse.code:
            return PortInUse(self._latest.cause or f"port {self._spec.port} is in use")
        return self._why()

    def _why(self) -> WorkerFailed:
        cause = f": {self._latest.cause}" if self._latest.cause else ""
        message = f"worker {self.name} {ending_of(self._process.returncode)}{cause}"
        return WorkerFailed(message, hint=f"Its log is {self.log_path}", last_words=self.last_words())

    def _info(self, news: Announcement) -> RuntimeInfo:
        if news.info is None:
            raise WorkerFailed(f"worker {self.name} is ready but said nothing of its engine")
        return news.info


def ending_of(code: int | None) -> str:
    """How a process with that return code ended, as the end of a sentence."""
    if code is None:
        return "stopped answering"
    if code >= 0:
        return f"exited with status {code}"
    with contextlib.suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
