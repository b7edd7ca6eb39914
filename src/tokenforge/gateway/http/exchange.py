"""One request and its answer: what was asked, and the bytes that go back, framed as the client understands.

Writes never wait: who writes much awaits `drained`, or is a source that can be paused. A client that has left takes
nothing more, and the work for it is cancelled. Header lines of an answer are bytes, each with its line end.
"""

import asyncio
from http import HTTPStatus
from math import inf
from typing import TYPE_CHECKING, Protocol

from tokenforge.protocol.asgi import FIELDS, Scope

if TYPE_CHECKING:
    from tokenforge.gateway.http.connection import Connection
    from tokenforge.gateway.http.head import Head, Headers
    from tokenforge.gateway.http.plain import Fields

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_BARE = (204, 304)
_LAST_CHUNK = b"0\r\n\r\n"


class Source(Protocol):
    """Where an answer's bytes come from, when they come by themselves."""

    def pause(self) -> None:
        """Send no more for now."""
        ...

    def resume(self) -> None:
        """Go on."""
        ...


class Doing(Protocol):
    """An answer that is made by callbacks, without a task."""

    def cancel(self) -> None:
        """The client has left."""
        ...

    def expire(self) -> None:
        """Its time is up."""
        ...


class Exchange:
    """`head` is what was asked, `body` its body, whole once `is_whole`; `work` is the application's own.

    `until_s` is when the answer must be whole: then
    the work, a `task` or what is `doing` it by callbacks, is ended and the exchange `is_late`. `is_chunked`: the answer
    goes out in chunks, so bytes that are in chunks already may go as they are. `is_last`: the connection ends with this
    answer. `outcome` is for the metrics.
    """

    is_whole = is_last = is_running = is_begun = is_ended = is_late = is_chunked = _is_bodiless = False
    body = b""
    size = body_limit = status = sent_bytes = 0
    outcome = "ok"
    until_s = inf
    work: object = None
    source: Source | None = None
    task: asyncio.Task[None] | None = None
    doing: Doing | None = None
    _gathered: bytearray | None = None
    _scope: Scope | None = None

    def __init__(
        self, connection: "Connection", head: "Head", fields: "Fields", headers: "Headers | None" = None
    ) -> None:
        self._connection = connection
        self.head = head
        self.fields = fields
        self._headers = headers

    @property
    def scope(self) -> Scope:
        """The start of an ASGI scope: enough to look at headers. The same at every look."""
        if self._scope is None:
            self._scope = {FIELDS: self.fields}
        return self._scope

    @property
    def headers(self) -> "Headers":
        """All header lines, as they came."""
        return list(self.fields.items()) if self._headers is None else self._headers

    def forget_body(self) -> None:
        """It is refused: the error that says so may live on for a while, and hold this."""
        self.body, self._gathered = b"", None

    def add(self, part: bytes) -> None:
        """A part of its body has come."""
        if not self.size:
            self.body = part
        elif self._gathered is None:
            self._gathered = bytearray(self.body) + part
        else:
            self._gathered += part
        self.size += len(part)

    def complete(self, *, is_last: bool) -> None:
        """Its body is whole."""
        self.is_whole = True
        self.is_last = is_last or self.head.version == "1.0"
        if self._gathered is not None:
            self.body, self._gathered = bytes(self._gathered), None

    def begin(self, status: int, lines: bytes, *, length: int | None) -> None:
        """Send the head. `length` of the body in bytes; None: it is not known yet."""
        self._connection.write(self._start(status, lines, length))

    def whole(self, status: int, lines: bytes, body: bytes) -> None:
        """Send a whole answer."""
        self.sent_bytes = size = len(body)
        first, connection = _STATUS_LINES.get(status), self._connection
        is_usual = self.head.method == "POST" and status not in _BARE and not self.is_last
        if first is None or not is_usual or connection.server.is_ending:
            head = self._start(status, lines, size)
            connection.write(head if self._is_bodiless else head + body)
        else:
            self.is_begun, self.status = True, status
            told = (first, connection.server.date_line, lines, size, body)
            connection.write(b"%b%b%bcontent-length: %d\r\n\r\n%b" % told)
        self.is_ended = True

    def write(self, data: bytes) -> None:
        """Send a part of the body."""
        if data and not self._is_bodiless:
            self.sent_bytes += len(data)
            self._connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self.is_chunked else data)

    def pass_on(self, framed: bytes) -> None:
        """Send whole chunks as another server framed them. Only while `is_chunked`."""
        self.sent_bytes += len(framed)
        self._connection.write(framed)

    def end(self) -> None:
        """The body is whole."""
        if not self.is_ended:
            self.is_ended = True
            if self.is_chunked:
                self._connection.write(_LAST_CHUNK)

    def expire(self) -> None:
        """Its time is up."""
        if self.is_late:
            return
        if self.task is not None:
            self.is_late = True
            self.task.cancel()
        elif self.doing is not None:
            self.is_late = True
            self.doing.expire()

    def hand_over(self) -> None:
        """The callbacks leave it to a task."""
        self.doing = None
        self._connection.begin_task(self)

    def done(self) -> None:
        """What the callbacks did for it is over."""
        self.doing = None
        self._connection.answered(self)

    @property
    def is_slow(self) -> bool:
        """Whether the client is behind, so that more should wait."""
        return self._connection.is_slow

    async def drained(self) -> None:
        """Return when the client has caught up, or has left."""
        await self._connection.drained()

    async def gone(self) -> None:
        """Return when the client has left."""
        await self._connection.gone()

    def _start(self, status: int, lines: bytes, length: int | None) -> bytes:
        """The bytes of the head."""
        self.is_begun = True
        self.status = status
        server = self._connection.server
        is_bare = status < 200 or status in _BARE
        self._is_bodiless = is_bare or self.head.method == "HEAD"
        if length is not None:
            framing = b"content-length: %d\r\n" % length
        elif is_bare:
            framing = b""
        elif self.head.version == "1.1":
            self.is_chunked = not self._is_bodiless
            framing = b"transfer-encoding: chunked\r\n"
        else:
            framing = b""
        if server.is_ending or self.is_last:
            self.is_last = True
            framing += b"connection: close\r\n"
        first = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        return b"%b%b%b%b\r\n" % (first, server.date_line, lines, framing)
