"""The truth server: compiled when its source changed, started with a mode, its log read back when it ends.

The log says what really happened: when each request arrived and when each token was handed to the kernel, in
monotonic ns of the same machine. What a client reports is compared with it.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "truth_server" / "truth_server.c"

_HEAD = 5
_STOP_S = 10.0


class NoCompiler(Exception):
    """There is no C compiler, or this is not Linux."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueAnswer:
    """One answer as the server gave it; monotonic ns. `prompt` is the first number of the prompt, -1 without one."""

    prompt: int
    connection: int
    arrival_ns: int
    end_ns: int
    sent_ns: tuple[int, ...]


@dataclass(slots=True)
class TruthServer:
    """A running server. `answers` are there once it was stopped."""

    url: str
    process: "subprocess.Popen[str]"
    log: Path

    def stop(self) -> list[TrueAnswer]:
        """End it and read what it wrote down, in the order the answers ended."""
        self.process.terminate()
        self.process.wait(timeout=_STOP_S)
        return read_log(self.log.read_bytes())


def read_log(data: bytes) -> list[TrueAnswer]:
    """The answers of a log, in the order they ended; one that is cut at the end is left out."""
    numbers = array("q", data[: len(data) // 8 * 8])
    answers, at = [], 0
    while at + _HEAD <= len(numbers):
        prompt, connection, arrival, end, count = numbers[at : at + _HEAD]
        at += _HEAD
        if at + count > len(numbers):
            break
        sent = tuple(numbers[at : at + count])
        answers.append(TrueAnswer(prompt=prompt, connection=connection, arrival_ns=arrival, end_ns=end, sent_ns=sent))
        at += count
    return answers


def compiled(source: Path = SOURCE) -> Path:
    """The binary of a C source, compiled when it changed. Raises NoCompiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        raise NoCompiler(f"{source.name} needs Linux and a C compiler (cc or gcc)")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    binary = Path(tempfile.gettempdir()) / f"tokenforge-{source.stem.replace('_', '-')}-{digest}"
    if not binary.exists():
        with tempfile.TemporaryDirectory() as folder:
            fresh = Path(folder) / source.stem
            subprocess.run([compiler, "-O2", "-o", str(fresh), str(source), "-lm"], check=True)
            shutil.move(fresh, binary)
    return binary


@contextlib.contextmanager
def truth_server(folder: Path, *options: str) -> Iterator[TruthServer]:
    """A server on a free port with `options` as in its source; ended with the block.

    Like a server on another machine it does not wait for its client's CPU time: it gets real-time priority if it may.
    """
    log = folder / "truth.log"
    command = [str(compiled()), "--log", str(log), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            with contextlib.suppress(OSError):
                os.sched_setscheduler(process.pid, os.SCHED_RR, os.sched_param(1))
            port = process.stdout.readline().split()[1]
            yield TruthServer(url=f"http://127.0.0.1:{port}", process=process, log=log)
        finally:
            process.terminate()
