"""One keep-alive connection to a worker: a request at a time, its answer parsed by httptools.

While an answer is passed on, chunks that arrive whole skip the parser: it stands between two chunks before and after
them, so it need not see them.
"""

import asyncio
import re
from typing import Any

import httptools

from tokenforge.gateway.http.plain import plain_answer
from tokenforge.gateway.upstream_answer import EVENT_END, UpstreamAnswer, UpstreamFailed

_CHUNK_HEAD = re.compile(rb"([0-9a-fA-F]{1,8})\r\n")
_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}")
_MOST_SIZES = 4096
_NO_SIZE = -8


class _Sizes(dict[bytes, int]):
    """Sizes of chunks as they are written, read before; the last chunk's and what is no size fit no length."""

    def __missing__(self, written: bytes) -> int:
        size = int(written, 16) if _SIZE.fullmatch(written) else 0
        if len(self) >= _MOST_SIZES:
            self.clear()
        self[written] = size = size or _NO_SIZE
        return size


_sizes = _Sizes()


class UpstreamConnection(asyncio.Protocol):
    """`pool` takes it back when it can serve again, since `idle_since_s`; `is_heard`: a byte of the answer came."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.is_closed = False
        self.is_used = False
        self.idle_since_s = 0.0
        self.pool: list[UpstreamConnection] | None = None
        self._transport: Any = None
        self._parser: Any = httptools.HttpResponseParser(self)
        self._answer: UpstreamAnswer | None = None
        self._fields: dict[bytes, bytes] = {}
        self._is_between_chunks = False
        self._is_to_close = False
        self._is_paused = False
        self._is_reusable = False
        self.is_heard = False

    def ask(self, head: bytes, body: bytes) -> UpstreamAnswer:
        """Send a request; its answer will come."""
        self._answer = answer = UpstreamAnswer(self)
        self._is_reusable = self._is_to_close = self._is_between_chunks = self.is_heard = False
        if len(body) < 65536:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        return answer

    def release(self, answer: UpstreamAnswer) -> None:
        """The answer is no longer wanted: serve again if it was whole, else end, so that the worker sees it."""
        if self._answer is not answer:
            return
        self._answer = None
        if self._is_reusable and not self.is_closed and self.pool is not None:
            self.is_used = True
            self.idle_since_s = self.loop.time()
            if self._is_paused:
                self.resume()
            self.pool.append(self)
        else:
            self.close()

    def close(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Read no more for now."""
        if not self._is_paused and not self.is_closed:
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._is_paused and not self.is_closed:
            self._is_paused = False
            self._transport.resume_reading()

    # what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer."""
        answer = self._answer
        if answer is None:
            self.close()  # nobody asked
            return
        if self._is_between_chunks and (client := answer.client) is not None and client.is_chunked and is_whole(data):
            answer.events += data.count(EVENT_END)
            answer.before, answer.last = answer.last, data
            client.pass_on(data)
            return
        if not self.is_heard and (plain := plain_answer(data)) is not None:
            self.is_heard = self._is_reusable = True
            answer.take_whole(*plain)
        else:
            self.is_heard = True
            self._parse(answer, data)
        if answer.listener is not None:
            answer.listener()

    def connection_lost(self, exc: Exception | None) -> None:
        """The worker has closed, or we have."""
        self.is_closed = True
        if self.pool is not None and self in self.pool:
            self.pool.remove(self)
        if (answer := self._answer) is not None:
            if self._is_to_close and exc is None:
                self._end(answer)
            words = f"{type(exc).__name__}: {exc}" if exc is not None else "the connection closed"
            answer.fail(UpstreamFailed(f"the worker's answer broke off: {words}"))
            if answer.listener is not None:
                answer.listener()
        self._parser = None  # it holds this

    # what httptools tells

    def on_message_begin(self) -> None:
        """An answer begins. A second one, which nobody asked for, is not taken for the answer to a later request."""
        self._fields = {}
        if self._answer is not None and self._answer.is_ended:
            self._is_reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the answer, or a trailer, which is dropped."""
        self._fields[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is whole."""
        status = self._parser.get_status_code()
        if status < 200:
            self._fields = {}
        elif (answer := self._answer) is not None and not answer.is_ended:
            answer.fields = fields = self._fields
            answer.status = status
            answer.is_chunked = b"transfer-encoding" in fields
            self._is_to_close = not answer.is_chunked and b"content-length" not in fields
            answer.wake()

    def on_body(self, part: bytes) -> None:
        """A part of the body."""
        if self._answer is not None and not self._answer.is_ended:
            self._answer.take(part)

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._is_between_chunks = False

    def on_chunk_complete(self) -> None:
        """A chunk has ended."""
        self._is_between_chunks = True

    def on_message_complete(self) -> None:
        """The answer is whole."""
        answer = self._answer
        if answer is not None and answer.status and not answer.is_ended:
            self._is_reusable = self._parser.should_keep_alive()
            self._end(answer)

    def _parse(self, answer: UpstreamAnswer, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
            if not data.endswith(b"\r\n"):
                self._is_between_chunks = False  # the parser may have seen a part of the next chunk's size
        except httptools.HttpParserError as error:
            answer.fail(UpstreamFailed(f"the worker's answer is not HTTP/1.1: {error}"))
            self.close()

    def _end(self, answer: UpstreamAnswer) -> None:
        answer.is_ended = True
        answer.wake()


def is_whole(data: bytes) -> bool:
    """Whether `data` is whole chunks and nothing else, none of them the last. Sizes in plain hex, no extensions."""
    position, size = data.find(b"\r\n", 0, 10), len(data)
    if position > 0 and size == position + 4 + _sizes[data[:position]] and data.endswith(b"\r\n"):
        return True  # one event, one chunk: the usual case
    position = 0
    while position < size:
        head = _CHUNK_HEAD.match(data, position)
        if head is None:
            return False
        length = int(head[1], 16)
        position = head.end() + length + 2
        if not length or position > size or data[position - 2 : position] != b"\r\n":
            return False
    return position == size > 0
