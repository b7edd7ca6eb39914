"""What our gateway does under fire: odd requests beside nginx, thousands of streams, random bytes."""

import asyncio
import contextlib
import math
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import uvloop

from gateway.corpus import CASES, Case
from gateway.streams import differing_streams
from gateway.wire import Echo, hear
from tokenforge.gateway.http.server import HttpServer
from tokenforge.protocol.listening import bind
from tokenforge.worker.process import raise_file_limit

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_QUIET_S = 1.0
_FILES_A_STREAM, _OTHER_FILES = 4, 500


async def under_fire(*, streams: int, minutes: float) -> int:
    """All of it; prints what it found and returns the exit code."""
    raise_file_limit()
    differences = await differences_from_nginx()
    print(f"corpus: {len(CASES)} cases; " + ("nginx is not installed, not compared" if differences is None else ""))
    for line in differences or ():
        print(f"  {line}")
    began_s = time.monotonic()
    differing, processes = await asyncio.to_thread(differing_of_many, streams)
    took_s = time.monotonic() - began_s
    print(f"{streams:,} streams at once, in {processes} processes: {differing} differ ({took_s:.0f} s)")
    tried = await random_bytes(seconds=minutes * 60, seed=int.from_bytes(os.urandom(4)))
    print(f"random bytes: {tried:,} connections without a crash, a hang or an answer to another's request")
    return 1 if differing or any("DIFFERS" in line for line in differences or ()) else 0


def differing_of_many(streams: int) -> tuple[int, int]:
    """How many differ, and in how many processes they ran: a stream takes four descriptors."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    processes = math.ceil(streams * _FILES_A_STREAM / (most - _OTHER_FILES))
    parts = [streams // processes + (number < streams % processes) for number in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return sum(pool.map(_differing, parts)), processes


def _differing(streams: int) -> int:
    raise_file_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(differing_streams(streams))


async def differences_from_nginx() -> list[str] | None:
    """Where nginx passes on what we refuse, with the reason, or DIFFERS; None without nginx."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        return None
    async with echoing() as port:
        with nginx(program, towards=port) as nginx_port:
            await _until_open(nginx_port)
            theirs = await asyncio.gather(*(statuses_of(case, nginx_port) for case in CASES))
        ours = await asyncio.gather(*(statuses_of(case, port) for case in CASES))
    lines = []
    for case, their, our in zip(CASES, theirs, ours, strict=True):
        if [_kind(status) for status in their] != [_kind(status) for status in our]:
            why = f"stricter: {case.is_stricter}" if case.is_stricter and 0 in case.statuses else "DIFFERS"
            lines.append(f"{case.name}: nginx {their}, ours {our} ({why})")
    return lines


async def random_bytes(*, seconds: float, seed: int) -> int:
    """Cases of the corpus cut and changed at random, for so long; returns how many. Raises AssertionError."""
    chance, ends_s, tried = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < ends_s:
        sent = bytearray(b"".join(chance.choice(CASES).sent[:4_000] for _ in range(chance.randint(1, 3))))
        for _ in range(chance.randint(0, 4)):
            place = chance.randrange(len(sent))
            sent[place : place + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        cuts = sorted(chance.randrange(len(sent)) for _ in range(chance.randint(0, 12)))
        pieces = [bytes(sent[a:b]) for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
        heard = await hear([piece for piece in pieces if piece])
        assert heard.kept == 0, f"seed {seed}: bytes of bodies are still counted after {bytes(sent)!r}"
        tried += 1
    return tried


async def statuses_of(case: Case, port: int) -> tuple[int, ...]:
    """What comes back for a case: statuses, until the end or until nothing more comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(case.sent)
        await writer.drain()
        while part := await asyncio.wait_for(reader.read(65536), timeout=_QUIET_S):
            received += part
    writer.close()
    return tuple(int(found) for found in _STATUS.findall(received))


@contextlib.asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """Our server, answering with what it was asked."""
    server = HttpServer(Echo(), new_id=lambda: "id", clock=time.monotonic, wall_s=time.time)
    listener = bind("127.0.0.1", 0)
    await server.start(listener)
    try:
        yield listener.getsockname()[1]
    finally:
        await server.end(limit_s=1.0)


@contextlib.contextmanager
def nginx(program: str, *, towards: int) -> Iterator[int]:
    """nginx in front of a server, until the end of the block."""
    with bind("127.0.0.1", 0) as probe:
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temps = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        (folder / "nginx.conf").write_text(f"""daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ }}
http {{ access_log off; client_max_body_size 16m; {temps}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{towards}; proxy_http_version 1.1;
    proxy_set_header Connection ""; }} }} }}
""")
        command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
        with subprocess.Popen(command, stdout=sys.stderr, stderr=subprocess.DEVNULL) as process:
            try:
                yield port
            finally:
                process.terminate()


async def _until_open(port: int) -> None:
    async with asyncio.timeout(10.0):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)


def _kind(status: int) -> str:
    return "refused" if status >= 400 else str(status)


def kinds(statuses: Sequence[int]) -> list[str]:
    """Refused, or the status."""
    return [_kind(status) for status in statuses]
