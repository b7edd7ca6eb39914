"""The process that offers a benchmark's load: started, watched, interrupted, found again after a restart.

It holds a pipe that this process alone keeps open, so no load goes on once control is gone, whenever that was.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tokenforge.cluster.local_group import kill_group
from tokenforge.cluster.process_mark import ProcessMark, is_another, mark_of
from tokenforge.protocol.withdrawn import RunName, runs_to_json

_INTERRUPT_LIMIT_S = 60.0
_LAST_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchCommand:
    """How such a process is started: `head`, then its own arguments.

    `env` is its environment; the key of its load comes into it.
    """

    head: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class BenchProcess:
    """One of them. `last_lines` are the final ones it wrote; `lifeline_fd` is our end of its pipe, -1 once closed."""

    process: asyncio.subprocess.Process
    last_lines: deque[str]
    withdrawn_path: Path
    lifeline_fd: int
    _withdrawn: str = ""

    @property
    def mark(self) -> str:
        """Which process it is, as text that `kill_marked` reads."""
        mark = mark_of(self.process.pid)
        return "" if mark is None else json.dumps([mark.pid, mark.started_s, mark.boot])

    async def follow(self, tell: Callable[[str], Awaitable[None]]) -> int:
        """Give each line to `tell` until it ends; its exit status."""
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self.last_lines.append(text)
                await tell(text)
        code = await self.process.wait()
        self._let_go()
        return code

    def withdraw(self, runs: Sequence[RunName]) -> None:
        """Tell it which runs are not wanted any more; nothing is written when it knows."""
        text = runs_to_json(runs)
        if runs and text != self._withdrawn:
            self._withdrawn = text
            partial = self.withdrawn_path.with_suffix(".partial")
            partial.write_text(text, encoding="utf-8")
            partial.replace(self.withdrawn_path)

    async def interrupt(self) -> None:
        """Ask it to end in order, keeping what it recorded; then by force. No process of it is left."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_INTERRUPT_LIMIT_S):
                await self.process.wait()
        kill_group(self.process.pid)
        await self.process.wait()
        self._let_go()

    def _let_go(self) -> None:
        if self.lifeline_fd >= 0:
            os.close(self.lifeline_fd)
            self.lifeline_fd = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchAsked:
    """What one such process is to do: a benchmark's body, where its deployments are, the key of its load.

    `taken_up_because`: why it is not the first for this benchmark; whole trials of those before are not measured again.
    """

    body: Mapping[str, object]
    targets: Sequence[Mapping[str, str]]
    key: str = field(repr=False)
    taken_up_because: str = ""


async def start_bench(command: BenchCommand, *, folder: Path, asked: BenchAsked) -> BenchProcess:
    """Write what it reads into `folder` and start it; its results will be in `folder/result`."""
    file, places = await asyncio.to_thread(_write, folder, asked.body, asked.targets)
    withdrawn = folder / "withdrawn.json"
    own = (str(file), "--targets", str(places), "--out", str(folder / "result"), "--withdrawn", str(withdrawn))
    again = ("--taken-up-because", asked.taken_up_because) if asked.taken_up_because else ()
    theirs, ours = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *command.head,
            *own,
            *again,
            *("--lifeline-fd", str(theirs)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            pass_fds=(theirs,),
            env={**command.env, "TOKENFORGE_API_KEY": asked.key},
            start_new_session=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return BenchProcess(process, deque(maxlen=_LAST_LINES), withdrawn, ours)


def _write(folder: Path, body: Mapping[str, object], targets: Sequence[Mapping[str, str]]) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    file, places = folder / "benchmark.yaml", folder / "targets.json"
    file.touch(mode=0o600)  # engine arguments may hold a key
    file.write_text(json.dumps(body), encoding="utf-8")
    places.write_text(json.dumps(list(targets)), encoding="utf-8")
    return file, places


def kill_marked(mark: str) -> None:
    """Kill the group of a process that a former control started, unless its id belongs to another by now."""
    with contextlib.suppress(ValueError, TypeError):
        pid, started_s, boot = json.loads(mark)
        known = ProcessMark(pid=int(pid), started_s=float(started_s), boot=str(boot))
        if not is_another(known):
            kill_group(known.pid)
