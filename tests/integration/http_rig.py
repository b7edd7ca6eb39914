"""Our HTTP server on a real socket with an application that tells what it was asked, and clients of bare bytes."""

import asyncio
import functools
import itertools
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import ParamSpec

import uvloop

from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.http.limits import Limits
from tokenforge.gateway.http.server import HttpServer
from tokenforge.protocol.listening import bind

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
Handle = Callable[[Exchange], Awaitable[None]]


P = ParamSpec("P")


def on_uvloop(test: Callable[P, Coroutine[object, object, None]]) -> Callable[P, None]:
    """Run a test on the loop that a gateway runs on."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(test(*args, **kwargs))

    return run


async def echo(exchange: Exchange) -> None:
    """Tell the method, the path and how much body there was."""
    told = {"method": exchange.head.method, "path": exchange.head.path, "body": exchange.body.decode("latin-1")}
    exchange.whole(200, b"content-type: application/json\r\n", json.dumps(told).encode())


@dataclass(slots=True)
class Teller:
    """The application. `left` are the outcomes of those that are over."""

    handle: Handle = echo
    may_open: Callable[[Exchange], None] = lambda exchange: None
    body_limit: int = 1 << 20
    opened: int = 0
    left_with: list[str] = field(default_factory=list)

    def open(self, exchange: Exchange) -> int:
        self.opened += 1
        self.may_open(exchange)
        return self.body_limit

    def answer_now(self, exchange: Exchange) -> bool:
        del exchange
        return False

    async def answer(self, exchange: Exchange) -> None:
        await self.handle(exchange)

    def left(self, exchange: Exchange) -> None:
        self.left_with.append(exchange.outcome)


@dataclass(slots=True)
class Client:
    """A connection of bare bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: bytes = b""

    def statuses(self) -> tuple[int, ...]:
        return tuple(int(found) for found in _STATUS.findall(self.received))

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def until(self, is_so: Callable[[], bool], *, limit_s: float = 10.0) -> bool:
        """Read until it is so, or the connection ended; whether it is so."""
        async with asyncio.timeout(limit_s):
            while not is_so() and (part := await self.reader.read(65536)):
                self.received += part
        return is_so()

    async def answered(self, number: int) -> tuple[int, ...]:
        """Read until so many answers have begun."""
        await self.until(lambda: len(self.statuses()) >= number)
        return self.statuses()

    async def ended(self) -> bytes:
        """Read to the end."""
        with suppress(ConnectionError):
            await self.until(lambda: False)
        return self.received

    def bodies(self) -> list[dict[str, str]]:
        """What the echo told, in order."""
        return [json.loads(found) for found in re.findall(rb"\{\"method.*?\}(?=HTTP|\Z)", self.received, re.S)]


@dataclass(slots=True)
class Served:
    """The server at `port`; each `client` is closed in the end."""

    app: Teller
    server: HttpServer
    port: int
    clients: list[Client] = field(default_factory=list)

    async def client(self) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.clients.append(Client(reader, writer))
        return self.clients[-1]

    async def ask(self, *pieces: bytes, answers: int = 1) -> Client:
        """Send on a new connection and read so many answers."""
        client = await self.client()
        with suppress(ConnectionError):
            await client.send(*pieces)
        await client.answered(answers)
        return client


@asynccontextmanager
async def serving(handle: Handle = echo, *, limits: Limits | None = None) -> AsyncIterator[Served]:
    """Serve `handle` on a free port."""
    app, numbers = Teller(handle), itertools.count()
    server = HttpServer(
        app, new_id=lambda: f"id-{next(numbers)}", clock=time.monotonic, wall_s=time.time, limits=limits
    )
    listener = bind("127.0.0.1", 0)
    await server.start(listener)
    served = Served(app, server, listener.getsockname()[1])
    try:
        yield served
    finally:
        for client in served.clients:
            client.writer.close()
        await server.end(limit_s=1.0)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so that has no event; 10 s at most."""
    async with asyncio.timeout(10.0):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def fits(seen: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether statuses are those that were wanted; 0 stands for any refusal."""
    return len(seen) == len(wanted) and all(
        one == want or (want == 0 and 400 <= one <= 599) for one, want in zip(seen, wanted, strict=True)
    )
