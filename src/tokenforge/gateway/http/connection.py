"""A client's connection: its requests, answered one after the other, within limits.

Reads go on while a request is answered, so that a client that leaves is noticed; what it sends ahead waits, bounded.
After a refusal the rest of what comes is read away for a moment: a socket closed with unread bytes would take the
refusal with it.
"""

import asyncio
import logging
from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from tokenforge.domain.errors import TokenForgeError, TooLarge
from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.http.head import Head, Refused
from tokenforge.gateway.http.plain import Fields, plain_request
from tokenforge.gateway.http.reader import UNREADABLE, RequestReader, problem_in
from tokenforge.protocol.asgi import request_id
from tokenforge.protocol.problem import Problem, problem_of

if TYPE_CHECKING:
    from tokenforge.gateway.http.server import HttpServer

_log = logging.getLogger(__name__)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Phase(IntEnum):
    """What a connection does, so that each wait for the client has its limit."""

    IDLE = 0
    HEAD = 1
    BODY = 2
    BUSY = 3
    LINGER = 4


class Connection(asyncio.Protocol):
    """The protocol of one connection. `since_s`: when its phase began; `slow_since_s`: when its client fell behind."""

    def __init__(self, server: "HttpServer") -> None:
        self.server = server
        self.phase = Phase.IDLE
        self.since_s = self.slow_since_s = server.now_s
        self.is_gone = self.is_slow = False
        self._is_deaf = False
        self._transport: Any = None
        self._made_reader: RequestReader | None = None
        self._exchanges: deque[Exchange] = deque()
        self._refusal = b""
        self._waiters: list[asyncio.Future[None]] = []

    # what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = transport
        self._transport.set_write_buffer_limits(high=self.server.limits.write_bytes)
        if not self.server.add(self):
            self._refuse(Refused(503, "all connections are taken", code="full", retry_after_s=1).problem)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left, or was left: what is still being done for it ends."""
        del exc
        self.is_gone = True
        self.server.remove(self)
        self._wake()
        for number, exchange in enumerate(tuple(self._exchanges)):
            if exchange.doing is not None:
                exchange.doing.cancel()
                continue
            if exchange.task is not None:
                exchange.task.cancel()
            if not exchange.is_running:
                self.server.body_bytes -= exchange.size
                if number == 0:
                    exchange.outcome = "cancelled"
                    self.server.app.left(exchange)
        if self._made_reader is not None:
            self._made_reader.end()
            self._made_reader = None

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of several."""
        if self._is_deaf:
            return
        if self.phase is Phase.IDLE and (request := plain_request(data, self.server.limits)) is not None:
            self._take(*request)
            return
        try:
            self._is_deaf = not self._reader.feed(data)  # nobody is upgraded: such a request is answered, and the last
        except UNREADABLE as error:
            self._refuse(problem_in(error))

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self.is_slow = True
        self.slow_since_s = self.server.now_s
        if self._exchanges and (source := self._exchanges[0].source) is not None:
            source.pause()

    def resume_writing(self) -> None:
        """It has caught up."""
        self.is_slow = False
        self._wake()
        if self._exchanges and (source := self._exchanges[0].source) is not None:
            source.resume()

    # what the reader tells

    def head_begins(self) -> None:
        """The first byte of a request has come."""
        if self.phase is Phase.IDLE:
            self.phase = Phase.HEAD
            self.since_s = self.server.now_s

    def asked(self, exchange: Exchange) -> None:
        """A head is whole. Raises TokenForgeError as the application refuses."""
        self._exchanges.append(exchange)
        if len(self._exchanges) == 1:
            self._open(exchange)
        elif len(self._exchanges) > self.server.limits.waiting_requests:
            self._transport.pause_reading()

    def grown(self, exchange: Exchange, size: int) -> None:
        """So much more of a body is here. Raises Refused, TooLarge."""
        server = self.server
        server.body_bytes += size
        if exchange.body_limit:
            self._check_size(exchange, exchange.size)
        self._check_room()

    def completed(self, exchange: Exchange) -> None:
        """A request is whole."""
        if exchange is self._exchanges[0]:
            self._start(exchange)

    @property
    def is_waiting_for_client(self) -> bool:
        """Whether the next move is the client's."""
        return self.phase is not Phase.BUSY

    # what an exchange tells

    def write(self, data: bytes) -> None:
        """Send, or drop it when nobody is there."""
        if not self.is_gone and not self._transport.is_closing():
            self._transport.write(data)

    def begin_task(self, exchange: Exchange) -> None:
        """It is answered by a task."""
        exchange.task = self.server.loop.create_task(self._answer(exchange))

    def answered(self, exchange: Exchange) -> None:
        """It is over, however it ended."""
        self.server.body_bytes -= exchange.size
        self.server.app.left(exchange)
        self._exchanges.popleft()
        if not self.is_gone:
            self._go_on(exchange)

    async def drained(self) -> None:
        """Return when the client has caught up, or has left."""
        while self.is_slow and not self.is_gone:
            await self._next_change()

    async def gone(self) -> None:
        """Return when the client has left."""
        while not self.is_gone:
            await self._next_change()

    # what the server tells

    def check(self, now_s: float) -> None:
        """Refuse or close when a wait is over its limit."""
        limits, waited_s = self.server.limits, now_s - self.since_s
        if self.phase is Phase.HEAD and waited_s > limits.head_s:
            self._refuse(Refused(408, f"the head was not whole after {limits.head_s:g} s", code="timeout").problem)
        elif self.phase is Phase.BODY and waited_s > limits.body_s:
            self._refuse(Refused(408, f"the body was not whole after {limits.body_s:g} s", code="timeout").problem)
        elif self.phase is Phase.IDLE and waited_s > limits.idle_s:
            self._transport.close()
        elif self.phase is Phase.LINGER and waited_s > limits.linger_s:
            self._transport.abort()
        elif self.phase is Phase.BUSY and self._exchanges and self._exchanges[0].until_s < now_s:
            self._exchanges[0].expire()
        if self.is_slow and now_s - self.slow_since_s > limits.stall_s:
            self._transport.abort()

    def end_when_idle(self) -> None:
        """The server ends: close now, or after the answer that is being made."""
        if self.phase is Phase.IDLE:
            self._transport.close()

    def abort(self) -> None:
        """Close now, whatever happens."""
        self._transport.abort()

    # within

    @property
    def _reader(self) -> RequestReader:
        """For what is not plain; many connections need none."""
        if self._made_reader is None:
            self._made_reader = RequestReader(self)
        return self._made_reader

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.since_s = self.server.now_s

    def _open(self, exchange: Exchange) -> None:
        """The request's turn has come: may it be, and how large? Raises TokenForgeError when it may not."""
        self._enter(Phase.BODY)
        exchange.body_limit = self.server.app.open(exchange)
        length = exchange.fields.get(b"content-length")
        self._check_size(exchange, exchange.size if length is None else int(length))
        if b"expect" in exchange.fields and not exchange.is_whole and exchange.head.version == "1.1":
            self.write(_CONTINUE)

    def _check_room(self) -> None:
        if self.server.body_bytes > self.server.limits.all_bodies_bytes:
            raise Refused(503, "too many request bodies are in memory", code="full", retry_after_s=1)

    def _check_size(self, exchange: Exchange, size: int) -> None:
        if size > exchange.body_limit:
            message = f"the request body has {size} bytes or more, {exchange.body_limit} are allowed"
            raise TooLarge(message, hint="send a shorter prompt")

    def _take(self, head: Head, fields: Fields, body: bytes) -> None:
        """A whole request has come at once."""
        server, exchange = self.server, Exchange(self, head, fields)
        self._exchanges.append(exchange)
        self.since_s = server.now_s
        try:
            exchange.body_limit = server.app.open(exchange)
            size = len(body)
            if size > exchange.body_limit:
                self._check_size(exchange, size)
            exchange.body, exchange.size, exchange.is_whole = body, size, True
            server.body_bytes += size
            if server.body_bytes > server.limits.all_bodies_bytes:
                self._check_room()
        except (Refused, TokenForgeError) as error:
            self._reader.exchange = exchange
            self._refuse(problem_in(error))
            return
        self.phase = Phase.BUSY
        if not server.app.answer_now(exchange):
            self.begin_task(exchange)

    def _start(self, exchange: Exchange) -> None:
        self.phase = Phase.BUSY
        if not self.server.app.answer_now(exchange):
            self.begin_task(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        exchange.is_running = True  # a task that is cancelled before its first step never comes here
        try:
            await self.server.app.answer(exchange)
        except asyncio.CancelledError:
            exchange.outcome = "cancelled"
        except Exception as error:  # noqa: BLE001 - the edge of a request
            _log.error("%s failed unforeseen", exchange.head.path, exc_info=error)
        finally:
            self.answered(exchange)

    def _go_on(self, answered: Exchange) -> None:
        """After an answer: the next request, or wait for one, or the end."""
        if answered.is_ended and not (answered.is_last or self._exchanges or self._is_deaf or self.server.is_ending):
            reader = self._made_reader
            self.phase = Phase.HEAD if reader is not None and reader.is_in_head else Phase.IDLE
            self.since_s = self.server.now_s
        elif self._transport.is_closing():
            pass
        elif not answered.is_begun:
            self._refusal = self.server.refusal(problem_of(RuntimeError()), path="", identity=self.server.new_id())
            self._say_refusal()
        elif not answered.is_ended:
            self._transport.close()  # cut: without its end the client cannot take it for whole
        elif answered.is_last:
            self._linger()
        elif self._exchanges:
            self._turn(self._exchanges[0])
        elif self._refusal:
            self._say_refusal()
        else:
            self._linger()

    def _turn(self, exchange: Exchange) -> None:
        """A request that waited behind another has its turn."""
        if len(self._exchanges) <= self.server.limits.waiting_requests and not self._is_deaf:
            self._transport.resume_reading()
        try:
            self._open(exchange)
            if exchange.is_whole:
                self._start(exchange)
        except (Refused, TokenForgeError) as error:
            self.server.body_bytes -= sum(later.size for later in self._exchanges) - exchange.size
            self._exchanges = deque((exchange,))
            self._reader.exchange = exchange
            self._refuse(problem_in(error))

    def _refuse(self, problem: Problem) -> None:
        """Answer `problem` when those before are answered, and end. The request that is being read is over."""
        self._is_deaf = True
        exchange, self._reader.exchange = self._reader.exchange, None
        path, identity = "", self.server.new_id()
        if exchange is not None:
            path, identity = exchange.head.path, request_id(exchange.scope, otherwise=identity)
            self.server.body_bytes -= exchange.size
            is_open = exchange is self._exchanges[0]
            self._exchanges.pop()
            if is_open:
                exchange.outcome, exchange.status = problem.code, problem.status
                self.server.app.left(exchange)
            exchange.forget_body()
        self._refusal = self.server.refusal(problem, path=path, identity=identity)
        if not self._exchanges:
            self._say_refusal()

    def _say_refusal(self) -> None:
        self.write(self._refusal)
        self._linger()

    def _linger(self) -> None:
        """Say that no more comes, and wait a moment for the client to say the same."""
        self._is_deaf = True
        self._enter(Phase.LINGER)
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._transport.write_eof()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _next_change(self) -> None:
        waiter: asyncio.Future[None] = self.server.loop.create_future()
        self._waiters.append(waiter)
        await waiter
