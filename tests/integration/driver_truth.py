"""The truth server as a test sees it: compiled once, started with a mode, its log read back when it ends."""

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "benchmarks" / "truth_server" / "truth_server.c"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrueAnswer:
    """One answer as the server gave it; monotonic ns. `prompt` is the first number of the prompt."""

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
        self.process.wait(timeout=10)
        numbers = array("q", self.log.read_bytes())
        answers, at = [], 0
        while at < len(numbers):
            prompt, connection, arrival, end, count = numbers[at : at + 5]
            sent = tuple(numbers[at + 5 : at + 5 + count])
            answers.append(
                TrueAnswer(prompt=prompt, connection=connection, arrival_ns=arrival, end_ns=end, sent_ns=sent)
            )
            at += 5 + count
        return answers


def compiled() -> Path:
    """The server's binary, compiled when the source changed; skips the test where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("the truth server needs Linux and a C compiler")
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    binary = Path(tempfile.gettempdir()) / f"tokenforge-truth-server-{digest}"
    if not binary.exists():
        with tempfile.TemporaryDirectory() as folder:
            fresh = Path(folder) / "truth_server"
            subprocess.run([compiler, "-O2", "-o", str(fresh), str(SOURCE)], check=True)
            shutil.move(fresh, binary)
    return binary


@contextlib.contextmanager
def truth_server(folder: Path, *options: str) -> Iterator[TruthServer]:
    """A server on a free port with `options` as in its source; ended with the block."""
    log = folder / "truth.log"
    command = [str(compiled()), "--log", str(log), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().split()[1]
            yield TruthServer(url=f"http://127.0.0.1:{port}", process=process, log=log)
        finally:
            process.terminate()
