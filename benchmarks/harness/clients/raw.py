"""The raw clients: the least a client can do, in C and in Python. Their rows are limits, not competitors."""

import struct
import sys
from pathlib import Path
from urllib.parse import urlsplit

from harness.clients.base import Command, Job, Reported, SeenRequest
from harness.home import CannotInstall, Home
from harness.truth import NoCompiler, compiled

_FOLDER = Path(__file__).parents[1]
_NOTE = struct.Struct("<5q")


class RawC:
    """`raw_client.c`."""

    name = "raw C"
    bound_ms = 1.0
    first_rate = 1000.0
    stream_requests = 6144
    zero = "the schedule"

    def install(self, home: Home) -> str:
        """Compile it."""
        del home
        try:
            compiled(_FOLDER / "raw_client.c")
        except NoCompiler as error:
            raise CannotInstall(str(error)) from error
        return "-"

    def command(self, home: Home, job: Job) -> Command:
        """The load as options."""
        del home
        return Command(argv=(str(compiled(_FOLDER / "raw_client.c")), *_options(job)))

    def read(self, job: Job) -> Reported:
        """From its notes."""
        return _read(job)


class RawPython:
    """`raw_client.py`."""

    name = "raw Python"
    bound_ms = 1.0
    first_rate = 800.0
    stream_requests = 4096
    zero = "the schedule"

    def install(self, home: Home) -> str:
        """Nothing to do."""
        del home
        return f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"

    def command(self, home: Home, job: Job) -> Command:
        """The load as options."""
        del home
        return Command(argv=(sys.executable, str(_FOLDER / "raw_client.py"), *_options(job)))

    def read(self, job: Job) -> Reported:
        """From its notes."""
        return _read(job)


def _options(job: Job) -> tuple[str, ...]:
    load = job.load
    pace = ("--rate", str(load.rate)) if load.rate is not None else ("--streams", str(load.streams))
    words = ("--port", str(urlsplit(job.url).port), "--requests", str(load.requests), "--tokens", str(load.tokens))
    return (*words, "--seed", str(load.seed), *pace, "--out", str(job.folder / "notes.bin"))


def _read(job: Job) -> Reported:
    data = (job.folder / "notes.bin").read_bytes()
    return Reported(requests=tuple(_seen(*row, tokens=job.load.tokens) for row in _NOTE.iter_unpack(data)))


def _seen(number: int, due: int, sent: int, first: int, last: int, *, tokens: int) -> SeenRequest:
    zero_ns = due or sent
    return SeenRequest(
        prompt=number,
        zero_ns=zero_ns,
        ttft_ms=(first - zero_ns) / 1e6,
        gap_ms=(last - first) / max(1, tokens - 1) / 1e6,
        ttft_sent_ms=(first - sent) / 1e6,
    )
