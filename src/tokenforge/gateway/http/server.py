"""The server: a listening socket, its connections, the clock that ends what waits too long, and an end without loss.

One timer looks at all connections a few times a second instead of one timer for each wait: a request then costs none.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import Protocol

from tokenforge.gateway.http.connection import Connection
from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.http.limits import Limits
from tokenforge.protocol.problem import Problem

_LOOK_EVERY_S = 0.1
_BACKLOG = 2048


class Application(Protocol):
    """What answers requests."""

    def open(self, exchange: Exchange) -> int:
        """Its head is read: how many bytes of body may come. Raises TokenForgeError to refuse it unread."""
        ...

    def answer_now(self, exchange: Exchange) -> bool:
        """Its body is read: whether it is being answered by callbacks, which call `exchange.done` in the end."""
        ...

    async def answer(self, exchange: Exchange) -> None:
        """Otherwise: answer, as a task. Cancelled when the client leaves."""
        ...

    def left(self, exchange: Exchange) -> None:
        """It is over, however it ended. Called once for each that `open` was called for."""
        ...


class HttpServer:
    """Serves `app`. `wall_s` is Unix time, `clock` monotonic seconds; `new_id` names requests that bring no id."""

    def __init__(
        self,
        app: Application,
        *,
        new_id: Callable[[], str],
        clock: Callable[[], float],
        wall_s: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        self.app = app
        self.new_id = new_id
        self.limits = limits or Limits()
        self.body_bytes = 0
        self.is_ending = False
        self.loop = asyncio.get_running_loop()
        self.now_s = clock()
        self.date_line = b""
        self._clock, self._wall_s = clock, wall_s
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._empty = asyncio.Event()
        self._looking: asyncio.TimerHandle | None = None
        self._look()

    async def start(self, listener: socket.socket) -> None:
        """Take connections from a bound socket."""
        self._server = await self.loop.create_server(lambda: Connection(self), sock=listener, backlog=_BACKLOG)

    async def end(self, *, limit_s: float) -> None:
        """Take no more, close what is idle, let answers end within `limit_s`, then cut."""
        self.is_ending = True
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.end_when_idle()
        if self._connections:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit_s):
                    await self._empty.wait()
        for connection in tuple(self._connections):
            connection.abort()
        if self._looking is not None:
            self._looking.cancel()
        await asyncio.sleep(0)

    def add(self, connection: Connection) -> bool:
        """Whether there is room for one more."""
        self._connections.add(connection)
        self._empty.clear()
        return len(self._connections) <= self.limits.connections

    def remove(self, connection: Connection) -> None:
        """It has ended."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def refusal(self, problem: Problem, *, path: str, identity: str) -> bytes:
        """A whole answer that says `problem` and ends its connection."""
        kind, body = problem.shaped(path)
        headers = {"x-request-id": identity, "content-type": kind, **problem.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        status = b"HTTP/1.1 %d %b\r\n" % (problem.status, problem.title.encode())
        ends = b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        return b"".join((status, self.date_line, lines.encode("latin-1"), ends, body))

    def _look(self) -> None:
        self.now_s = self._clock()
        self.date_line = f"date: {formatdate(self._wall_s(), usegmt=True)}\r\n".encode()
        self._looking = self.loop.call_later(_LOOK_EVERY_S, self._look)  # first: an error in one check ends no other
        for connection in tuple(self._connections):
            connection.check(self.now_s)
