"""HTTP/1.1 responses as they come off a socket: where they end, and what their body bytes are.

Strict: what breaks the grammar becomes a named `error`, never a guess. Bodies are chunked, counted by Content-Length,
or ended by close. Knows nothing of requests, sockets or time. Refuses obsolete line folding and other codings
than chunked (we ask for none).
"""

import re

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?\Z")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\x00]*?)[ \t]*\Z")
_CHUNK_HEAD = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?\r\n")
_MAX_HEAD_BYTES = 65_536
_MAX_CHUNK_HEAD_BYTES = 4_096

_CHUNKED, _COUNTED, _TO_CLOSE = "chunked", "counted", "to close"


class ResponseFramer:
    """Feeds on the bytes of one response, in any cuts. `feed` returns the body bytes that a read completed.

    `done` is set once the response ended by its own rules; `error` once it broke them. `status` and `headers`
    (lower-case names) are there after the header block. `keep_alive` says whether the connection may serve again.
    """

    __slots__ = ("_left", "_mode", "_rest", "_trailing", "done", "error", "headers", "keep_alive", "status")

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.done = False
        self.error: str | None = None
        self.keep_alive = False
        self._mode: str | None = None
        self._rest = b""
        self._left = 0
        self._trailing = False

    @property
    def is_chunked(self) -> bool:
        """The end shows in the bytes alone (a terminator), so reads need not be fed at once."""
        return self._mode == _CHUNKED

    @property
    def is_between_chunks(self) -> bool:
        """The next byte begins a chunk, so `sse.lone_event` may read a chunk in one step."""
        return self._mode == _CHUNKED and self._left == 0 and not (self._rest or self._trailing or self.error)

    @property
    def ends_by_close(self) -> bool:
        """Only the close of the connection ends the body, so a cut looks like an end."""
        return self._mode == _TO_CLOSE

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; body bytes come back decoded. After `done` or `error` any byte is an error."""
        if self.error is not None or not data:
            return b""
        if self.done:
            return self._fail("bytes after the end of the response")
        if self._mode is None:
            data = self._head(self._rest + data)
        return self._body(data) if data else b""

    def _body(self, data: bytes) -> bytes:
        if self._mode == _CHUNKED:
            return self._chunked(data)
        if self._mode == _COUNTED:
            return self._counted(data)
        return data

    def end_of_file(self) -> None:
        """The peer closed: an end for a body without length, else the response stays not `done`."""
        if self._mode == _TO_CLOSE and self.error is None:
            self.done = True

    def _head(self, data: bytes) -> bytes:
        """Parse the header block when it is whole; returns the bytes behind it."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._rest = data
            if len(data) > _MAX_HEAD_BYTES:
                self._fail(f"header block over {_MAX_HEAD_BYTES} bytes")
            elif not data.startswith(b"HTTP/1."[: len(data)]):
                self._fail(f"not an HTTP/1 response: {data[:40]!r}")
            return b""
        self._rest = b""
        rest = data[end + 4 :]
        lines = data[:end].split(b"\r\n")
        status_line = _STATUS_LINE.match(lines[0])
        if status_line is None:
            return self._fail(f"bad status line: {lines[0][:80]!r}")
        status = int(status_line[2])
        headers = self._fields(lines[1:])
        if headers is None:
            return b""
        if status < 200:
            return self._head(rest)
        self.status, self.headers = status, headers
        self._choose_body(version_minor=int(status_line[1]))
        if self.done and rest:
            self._fail("bytes after the end of the response")
        return b"" if self.error is not None else rest

    def _fields(self, lines: list[bytes]) -> dict[str, str] | None:
        fields: dict[str, str] = {}
        for line in lines:
            field = _FIELD.match(line)
            if field is None:
                self._fail(f"bad header line: {line[:80]!r}")
                return None
            name, value = field[1].decode().lower(), field[2].decode("latin-1")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
        return fields

    def _choose_body(self, *, version_minor: int) -> None:
        connection = self.headers.get("connection", "").lower()
        self.keep_alive = "close" not in connection and (version_minor == 1 or "keep-alive" in connection)
        coding = self.headers.get("transfer-encoding", "").lower()
        lengths = {length.strip() for length in self.headers.get("content-length", "").split(",")} - {""}
        if self.status in (204, 304):
            self._mode, self.done = _COUNTED, True
        elif coding == "chunked":
            self._mode = _CHUNKED
        elif coding:
            self._fail(f"unknown transfer coding {coding[:40]!r}")
        elif lengths:
            self._count(lengths)
        else:
            self._mode, self.keep_alive = _TO_CLOSE, False

    def _count(self, lengths: set[str]) -> None:
        length = lengths.pop()
        if lengths or not (length.isascii() and length.isdigit()):
            self._fail(f"bad Content-Length {self.headers['content-length'][:40]!r}")
            return
        self._mode, self._left = _COUNTED, int(length)
        self.done = self._left == 0

    def _counted(self, data: bytes) -> bytes:
        if len(data) > self._left:
            return self._fail("more body bytes than Content-Length")
        self._left -= len(data)
        self.done = self._left == 0
        return data

    def _chunked(self, data: bytes) -> bytes:
        """Decode as far as the bytes go. `_left` counts what the open chunk still owes, its CRLF included."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        if self._trailing:
            return self._trailers(data)
        parts: list[bytes] = []
        position, size = 0, len(data)
        while position < size:
            if self._left == 0:
                head = _CHUNK_HEAD.match(data, position)
                if head is None:
                    self._wait_for_chunk_head(data[position:])
                    break
                position = head.end()
                length = int(head[1], 16)
                if length == 0:
                    self._trailing = True
                    self._trailers(data[position:])
                    break
                self._left = length + 2
            position = self._chunk_body(data, position, parts)
            if position < 0:
                return self._fail("chunk without its closing CRLF")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _chunk_body(self, data: bytes, position: int, parts: list[bytes]) -> int:
        """Take the open chunk's bytes from `position`; returns where they end, -1 when it is not closed right."""
        body_end = min(position + max(self._left - 2, 0), len(data))
        if body_end > position:
            parts.append(data[position:body_end])
            self._left -= body_end - position
        if self._left > 2:
            return body_end
        closing = data[body_end : body_end + self._left]
        if closing != b"\r\n"[2 - self._left :][: len(closing)]:
            return -1
        self._left -= len(closing)
        return body_end + len(closing)

    def _wait_for_chunk_head(self, rest: bytes) -> None:
        if b"\n" in rest or len(rest) > _MAX_CHUNK_HEAD_BYTES or not re.match(rb"[0-9A-Fa-f]", rest):
            self._fail(f"bad chunk size line: {rest[:40]!r}")
        self._rest = rest

    def _trailers(self, data: bytes) -> bytes:
        end = 0 if data.startswith(b"\r\n") else data.find(b"\r\n\r\n") + 2
        if end == 1:
            self._rest = data
            if len(data) > _MAX_HEAD_BYTES:
                self._fail(f"trailers over {_MAX_HEAD_BYTES} bytes")
            return b""
        self.done = True
        if len(data) > end + 2:
            self._fail("bytes after the end of the response")
        return b""

    def _fail(self, reason: str) -> bytes:
        self.error = reason
        self.done = False
        self.keep_alive = False
        return b""
