"""A worker's answer: its head is here, its body comes; gathered, read in parts, or passed on as it is.

What is passed on is not taken apart: chunks that came whole go out as they came. Of a stream are kept the number of
events and the last bytes, because its usage is told in the last event.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING

from tokenforge.domain.errors import EngineError
from tokenforge.gateway.http.exchange import Exchange

if TYPE_CHECKING:
    from tokenforge.gateway.upstream_connection import UpstreamConnection

MAX_WHOLE_BYTES = 256 << 20
_AHEAD_BYTES = 256 << 10
EVENT_END = b"\n\n"
_NONE: Mapping[bytes, bytes] = {}


class UpstreamFailed(EngineError):
    """The worker could not be reached, or its answer broke off."""

    code = "upstream_failed"


class UpstreamAnswer:
    """One answer. `close` it in the end: its connection is kept when the answer was whole, else ended.

    `is_plain`: it came whole, at once. It is awaited, or it has a `listener`, which is called when there is news and
    looks for itself. Parts that nobody has taken wait in `parts`, `size` bytes; beyond `most_ahead` the worker waits.
    """

    status = size = events = 0
    most_ahead = _AHEAD_BYTES
    listener: Callable[[], None] | None = None
    fields: Mapping[bytes, bytes] = _NONE
    is_chunked = is_ended = is_plain = False
    failure: UpstreamFailed | None = None
    client: Exchange | None = None
    before = last = b""
    _waiter: asyncio.Future[None] | None = None

    def __init__(self, connection: "UpstreamConnection") -> None:
        self._connection = connection
        self.parts: list[bytes] = []

    def header(self, name: bytes) -> str:
        """A header by its lower-case name, empty when it is not there."""
        return self.fields.get(name, b"").decode("latin-1")

    async def head(self) -> None:
        """Return when the head is here. Raises UpstreamFailed."""
        while not self.status:
            await self._news()

    async def first(self) -> None:
        """Return when a part of the body is here, or its end. Raises UpstreamFailed."""
        while not self.parts and not self.is_ended:
            await self._news()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises UpstreamFailed when it breaks off."""
        while True:
            await self.first()
            parts, self.parts, self.size = self.parts, [], 0
            self._connection.resume()
            for part in parts:
                yield part
            if self.is_ended and not self.parts:
                return

    async def whole(self) -> bytes:
        """The whole body. Raises UpstreamFailed."""
        if self.is_ended and len(self.parts) == 1:
            return self.parts[0]
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size > MAX_WHOLE_BYTES:
                raise UpstreamFailed(f"the worker's answer has more than {MAX_WHOLE_BYTES} bytes")
        return b"".join(parts)

    @property
    def is_unheard(self) -> bool:
        """Whether a kept connection said nothing: its worker had closed it before the request came."""
        return self._connection.is_used and not self._connection.is_heard

    def gathered(self) -> bytes:
        """The whole body, which is here."""
        return self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)

    def gather(self) -> None:
        """Let the whole body come."""
        self.most_ahead = MAX_WHOLE_BYTES
        if self.size <= MAX_WHOLE_BYTES:
            self._connection.resume()

    def pass_on_to(self, client: Exchange) -> None:
        """From now on send the body on to a client whose answer has begun, as fast as it takes it."""
        self._take_note(b"".join(self.parts))
        for part in self.parts:
            client.write(part)
        self.parts.clear()
        self.client = client
        client.source = self._connection
        (self._connection.pause if client.is_slow else self._connection.resume)()

    async def pass_to(self, client: Exchange) -> None:
        """The same until its end. Raises UpstreamFailed."""
        self.pass_on_to(client)
        try:
            while not self.is_ended:
                await self._news()
        finally:
            self.client = client.source = None

    def close(self) -> None:
        """Done with it."""
        self.listener = None
        if self.client is not None:
            self.client.source = None
            self.client = None
        self._connection.release(self)

    # what the connection tells

    def take_whole(self, status: int, fields: Mapping[bytes, bytes], body: bytes) -> None:
        """All of it, at once."""
        self.status, self.fields, self.size = status, fields, len(body)
        self.parts = [body] if body else []
        self.is_ended = self.is_plain = True
        if self._waiter is not None:
            self.wake()

    def take(self, part: bytes) -> None:
        """A part of the body, taken out of its framing."""
        if self.client is not None:
            self._take_note(part)
            self.client.write(part)
            return
        self.parts.append(part)
        self.size += len(part)
        if self.size > self.most_ahead:
            self._connection.pause()
        self.wake()

    def fail(self, failure: UpstreamFailed) -> None:
        """It broke off."""
        if not self.is_ended and self.failure is None:
            self.failure = failure
            self.wake()

    def wake(self) -> None:
        """There is news."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _take_note(self, data: bytes) -> None:
        self.events += data.count(EVENT_END)
        self.before, self.last = self.last, data

    async def _news(self) -> None:
        if self.failure is not None:
            raise self.failure
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
