"""The plainest messages, read in a few steps: what nearly every client and worker sends, and nothing beyond.

Taken are heads whose every line is plain: known characters, one space at most after the colon, no name twice, nothing
that frames the message but one Content-Length, nothing about the connection, and the whole message in one piece. On
those no two readers differ. Everything else, right or wrong, is not plain and goes to httptools, so what is refused is
decided there alone; a test holds what is taken here against what httptools reads.

Lines that come again (the same client, the same worker) are remembered, so many at most.
"""

import re
from collections.abc import Mapping

from tokenforge.gateway.http.head import Head
from tokenforge.gateway.http.limits import Limits

Fields = Mapping[bytes, bytes]

_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([!-~](?:[ -~]*[!-~])?)")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,7}")
_REQUEST = re.compile(rb"POST (/[A-Za-z0-9/_.~-]{0,255}) HTTP/1\.1")
_ANSWER = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [A-Za-z' -]*)?")
_FRAMING = frozenset(
    {b"connection", b"expect", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
_KEEPS_OPEN = b"keep-alive"
_OFTEN_NEW = frozenset({b"x-request-id", b"traceparent", b"tracestate"})
_BODILESS = (204, 304)
_MOST_LINES = 1024
_MOST_LINE_BYTES = 512


class NotPlain(Exception):
    """It is not as plain as this, which says nothing about its being right."""


class _Lines(dict[bytes, tuple[bytes, bytes]]):
    """Header lines that were read already: name in lower case, and value. Raises NotPlain."""

    def __missing__(self, line: bytes) -> tuple[bytes, bytes]:
        read = _LINE.fullmatch(line)
        if read is None:
            raise NotPlain
        name, value = read[1].lower(), read[2]
        if name in _OFTEN_NEW:
            return name, value
        if name in _FRAMING and not (name == b"connection" and value.lower() == _KEEPS_OPEN):
            raise NotPlain
        if name == b"content-length" and _LENGTH.fullmatch(value) is None:
            raise NotPlain
        if len(line) <= _MOST_LINE_BYTES:
            if len(self) >= _MOST_LINES:
                self.clear()
            self[line] = name, value
        return name, value


class _Requests(dict[bytes, Head]):
    """Request lines that were read already. Raises NotPlain."""

    def __missing__(self, line: bytes) -> Head:
        read = _REQUEST.fullmatch(line)
        if read is None:
            raise NotPlain
        if len(self) >= _MOST_LINES:
            self.clear()
        self[line] = head = Head("POST", "1.1", read[1].decode("ascii"), read[1], b"")
        return head


class _Answers(dict[bytes, int]):
    """Status lines that were read already. Raises NotPlain."""

    def __missing__(self, line: bytes) -> int:
        read = _ANSWER.fullmatch(line)
        if read is None or int(read[1]) in _BODILESS:
            raise NotPlain
        if len(self) >= _MOST_LINES:
            self.clear()
        self[line] = status = int(read[1])
        return status


_request_line = _Requests().__getitem__
_status_line = _Answers().__getitem__
_asked_line = _Lines().__getitem__
_answered_line = _Lines().__getitem__


def plain_request(data: bytes, limits: Limits) -> tuple[Head, Fields, bytes] | None:
    """The one request that `data` is, and its body; None when it is anything else."""
    end = data.find(b"\r\n\r\n")
    if not 0 < end <= limits.head_bytes:
        return None
    lines = data[:end].split(b"\r\n")
    try:
        head = _request_line(lines[0])
        del lines[0]
        fields = dict(map(_asked_line, lines))
        length = int(fields[b"content-length"])
    except (NotPlain, KeyError):
        return None
    number = len(lines)
    is_one = length == len(data) - end - 4 and len(fields) == number <= limits.headers and b"host" in fields
    return (head, fields, data[end + 4 :]) if is_one and len(head.raw_path) <= limits.target_bytes else None


def plain_answer(data: bytes) -> tuple[int, Fields, bytes] | None:
    """Status, headers and body of the one answer that `data` is, to anything but HEAD; None when it is more or less."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    lines = data[:end].split(b"\r\n")
    try:
        status = _status_line(lines[0])
        del lines[0]
        fields = dict(map(_answered_line, lines))
        length = int(fields[b"content-length"])
    except (NotPlain, KeyError):
        return None
    is_one = length == len(data) - end - 4 and len(fields) == len(lines)
    return (status, fields, data[end + 4 :]) if is_one else None
