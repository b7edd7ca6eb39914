"""Many streams at once through our server and our client to workers, each compared byte by byte with what was sent.

Each stream has bytes of its own, is cut by its upstream at odd places, and all are open together.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.http.server import HttpServer
from tokenforge.gateway.upstream import Upstream
from tokenforge.protocol.listening import bind

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"
_LIMIT_S = 300.0
_OPENING = 32
"""So many are opened at a time: client, server, pool and upstream share one loop here."""


def events_of(number: int) -> list[bytes]:
    """What stream `number` says."""
    return [b"data: %d-%d %s\n\n" % (number, step, b"x" * (number * 7 % 300)) for step in range(12)]


class Passing:
    """The application: asks the upstream for the stream that the body names, and passes it on."""

    def __init__(self, upstream: Upstream, url: str) -> None:
        self._upstream, self._url = upstream, url

    def open(self, exchange: Exchange) -> int:
        """Any small body may come in."""
        del exchange
        return 1024

    def answer_now(self, exchange: Exchange) -> bool:
        """Always by a task."""
        del exchange
        return False

    async def answer(self, exchange: Exchange) -> None:
        """The stream, as it comes."""
        answer = await self._upstream.ask(self._url, "/x", body=exchange.body, headers=b"")
        try:
            await answer.first()
            exchange.begin(200, b"", length=None)
            await answer.pass_to(exchange)
            exchange.end()
        finally:
            answer.close()

    def left(self, exchange: Exchange) -> None:
        """It is over."""
        del exchange


async def differing_streams(number: int) -> int:
    """How many of so many streams, open at once, were not byte for byte what their upstream sent."""
    gate = asyncio.Event()
    async with _worker(gate) as url:
        upstream = Upstream()
        server = HttpServer(Passing(upstream, url), new_id=lambda: "id", clock=time.monotonic, wall_s=time.time)
        listener = bind("127.0.0.1", 0)
        await server.start(listener)
        port = listener.getsockname()[1]
        opening = asyncio.Semaphore(_OPENING)
        left = [number]
        results = await asyncio.gather(*(_is_equal(one, port, opening, gate, left) for one in range(number)))
        await server.end(limit_s=1.0)
        await upstream.close()
    return results.count(False)


async def _is_equal(number: int, port: int, opening: asyncio.Semaphore, gate: asyncio.Event, left: list[int]) -> bool:
    async with opening:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = str(number).encode()
        writer.write(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        received = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _LIMIT_S)
    left[0] -= 1
    if not left[0]:
        gate.set()  # all are open: now they go on
    received = b""
    while not received.endswith(b"\r\n" + _END):
        part = await asyncio.wait_for(reader.read(65536), _LIMIT_S)
        if not part:
            break
        received += part
    writer.close()
    return dechunked(received) == b"".join(events_of(number))


def dechunked(data: bytes) -> bytes:
    """The bytes within whole chunks."""
    parts: list[bytes] = []
    while True:
        size, _, rest = data.partition(b"\r\n")
        length = int(size or b"0", 16)
        if not length:
            return b"".join(parts)
        parts.append(rest[:length])
        data = rest[length + 2 :]


@asynccontextmanager
async def _worker(gate: asyncio.Event) -> AsyncIterator[str]:
    """Sends each stream's first event at once, and the rest when all are open, cut at odd places."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                number = int(await reader.readexactly(length))
                first, *more = [b"%x\r\n%b\r\n" % (len(event), event) for event in events_of(number)]
                writer.write(_HEAD + first)
                await gate.wait()
                framed, size = b"".join(more) + _END, 40 + number % 400
                for start in range(0, len(framed), size):
                    writer.write(framed[start : start + size])
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
