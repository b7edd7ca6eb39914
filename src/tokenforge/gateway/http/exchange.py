"""One request and its answer: what was asked, and the bytes that go back, framed as the client understands.

Writes never wait: who writes much awaits `drained`, or is a source that can be paused. A client that has left takes
nothing more, and the work for it is cancelled.
"""

import asyncio
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from tokenforge.protocol.asgi import FIELDS, Scope

if TYPE_CHECKING:
    from tokenforge.gateway.http.connection import Connection

Pairs = Iterable[tuple[bytes, bytes]]
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_LAST_CHUNK = b"0\r\n\r\n"


class Source(Protocol):
    """Where an answer's bytes come from, when they come by themselves."""

    def pause(self) -> None:
        """Send no more for now."""
        ...

    def resume(self) -> None:
        """Go on."""
        ...


class Exchange:
    """`scope` is the request's head (ASGI), `fields` its headers by lower-case name, `body` whole once `is_whole`.

    `is_chunked`: the answer goes out in chunks, so bytes that are in chunks already may go as they are. `outcome` is
    for the metrics. `is_last`: the connection ends with this answer.
    """

    __slots__ = (
        "_connection", "_gathered", "_is_bodiless", "body", "body_limit", "fields", "is_begun", "is_chunked",
        "is_ended", "is_last", "is_running", "is_whole", "outcome", "scope", "sent_bytes", "size", "source", "status",
        "task",
    )  # fmt: skip

    def __init__(self, connection: "Connection", scope: Scope) -> None:
        self._connection = connection
        self.scope = scope
        self.fields: Mapping[bytes, bytes] = scope[FIELDS]
        self.body = b""
        self.size = 0
        self._gathered: bytearray | None = None
        self.body_limit = 0
        self.is_whole = self.is_last = self.is_running = False
        self.is_begun = self.is_ended = False
        self.is_chunked = self._is_bodiless = False
        self.status = self.sent_bytes = 0
        self.outcome = "ok"
        self.source: Source | None = None
        self.task: asyncio.Task[None] | None = None

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
        self.is_last = is_last or self.scope["http_version"] == "1.0"
        if self._gathered is not None:
            self.body, self._gathered = bytes(self._gathered), None

    def begin(self, status: int, headers: Pairs, *, length: int | None) -> None:
        """Send the head. `length` of the body in bytes; None: it is not known yet."""
        connection = self._connection
        self.is_begun = True
        self.status = status
        is_bare = status < 200 or status in (204, 304)
        self._is_bodiless = is_bare or self.scope["method"] == "HEAD"
        lines = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, connection.server.date_line]
        lines += [b"%b: %b\r\n" % pair for pair in headers]
        if length is not None:
            lines.append(b"content-length: %d\r\n" % length)
        elif not is_bare and self.scope["http_version"] == "1.1":
            self.is_chunked = not self._is_bodiless
            lines.append(b"transfer-encoding: chunked\r\n")
        elif not is_bare:
            self.is_last = True
        if self.is_last or connection.server.is_ending:
            self.is_last = True
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        connection.write(b"".join(lines))

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

    def whole(self, status: int, headers: Pairs, body: bytes) -> None:
        """Send a whole answer."""
        self.begin(status, headers, length=len(body))
        self.write(body)
        self.end()

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
