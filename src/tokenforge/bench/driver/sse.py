"""Server-sent events out of body bytes, however the bytes were cut. An event's stamp is that of the read completing it.

Only `data` matters to us; comments, `event`, `id` and `retry` lines are read and dropped. Lines may end in LF, CRLF or
CR. What is left without its blank line is no event: `leftover` says so, and the caller decides what that means.
"""

import re

_BLANK = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_FAST_PREFIX = b"data: "


class EventSplitter:
    """Feeds on (bytes, stamp) pieces, gives (data, stamp) events."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    @property
    def is_between_events(self) -> bool:
        """Nothing of an event waits for its end."""
        return not self._rest

    @property
    def leftover(self) -> bytes:
        """The data of the unfinished event at the end of the stream, empty when there is none."""
        return _data_of(self._rest)

    def feed(self, piece: bytes, stamp: int) -> list[tuple[bytes, int]]:
        """The events that `piece` completed."""
        if not self._rest and _is_one_plain_event(piece):
            return [(piece[6:-2], stamp)]
        return self._feed_slowly(self._rest + piece, stamp)

    def _feed_slowly(self, data: bytes, stamp: int) -> list[tuple[bytes, int]]:
        events: list[tuple[bytes, int]] = []
        position = 0
        while True:
            position = _past_blanks(data, position)
            blank = _BLANK.search(data, position)
            if blank is None:
                break
            content = _data_of(data[position : blank.start()])
            if content:
                events.append((content, stamp))
            position = blank.end()
        self._rest = data[position:]
        return events


def lone_event(chunk: bytes) -> bytes | None:
    """The data of `chunk`, if it is one whole HTTP chunk that holds one plain event: what most reads are; else None.

    As strict as framing and splitting one after the other, which take what is refused here, and much faster.
    """
    size, _, body = chunk.partition(b"\r\n")
    data = body[6:-4]
    if body[:6] != _FAST_PREFIX or body[-4:] != b"\n\n\r\n" or not data:
        return None
    if size != b"%x" % (len(data) + 8) or b"\n" in data or b"\r" in data:
        return None
    return data


def _is_one_plain_event(piece: bytes) -> bool:
    if not (piece.endswith(b"\n\n") and piece.startswith(_FAST_PREFIX)):
        return False
    return piece.find(b"\n", 0, -2) < 0 and piece.find(b"\r") < 0


def _past_blanks(data: bytes, position: int) -> int:
    """Blank lines between events (or an LF whose CR ended the last read) belong to no event."""
    while position < len(data) and data[position] in b"\r\n":
        position += 1
    return position


def _data_of(block: bytes) -> bytes:
    lines = []
    for line in _LINE_END.split(block):
        if line.startswith(b"data:"):
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
    return b"\n".join(lines)
