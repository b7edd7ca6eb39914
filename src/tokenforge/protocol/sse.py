"""Server-sent events: bytes to events however the network cut them, and events to bytes.

The grammar is the one of the HTML standard: lines end in LF, CR or CRLF, a blank line ends an event, several `data`
lines join with a newline, lines that start with a colon are comments. Refuses an event larger than its bound.
"""

import re
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
DEFAULT_MAX_EVENT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SseEvent:
    """One event; `event` is empty when the stream did not name it."""

    data: str
    event: str = ""


class SseParser:
    """Feed bytes as they come; each call returns the events that are now whole. One parser for one stream."""

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._limit = max_event_bytes
        self._rest = b""
        self._data: list[bytes] = []
        self._event = b""
        self._size = 0
        self._begun = False
        self._after_cr = False

    def feed(self, received: bytes) -> list[SseEvent]:
        """Events completed by `received`. Raises ValueError when one grows past the bound."""
        self._rest += received
        if not self._begun:
            if len(self._rest) < len(_BOM) and _BOM.startswith(self._rest):
                return []
            self._rest = self._rest.removeprefix(_BOM)
            self._begun = True
        if self._after_cr and self._rest:
            self._rest = self._rest.removeprefix(b"\n")
            self._after_cr = False
        self._after_cr = self._after_cr or self._rest.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(self._rest)
        events = [event for line in lines if (event := self._line(line)) is not None]
        if self._size + len(self._rest) > self._limit:
            raise ValueError(f"an event is larger than {self._limit} bytes")
        return events

    def _line(self, line: bytes) -> SseEvent | None:
        if not line:
            return self._finish()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value) + 1
        elif name == b"event":
            self._event = value
        return None

    def _finish(self) -> SseEvent | None:
        data, event = self._data, self._event
        self._data, self._event, self._size = [], b"", 0
        if not data:
            return None
        return SseEvent(data=b"\n".join(data).decode(errors="replace"), event=event.decode(errors="replace"))


def encode_event(data: str, *, event: str = "") -> bytes:
    """One event as bytes; lines of `data` become `data` lines. Raises ValueError for a line end in `event`."""
    if "\n" in event or "\r" in event:
        raise ValueError(f"an event's name has no line ends: {event!r}")
    head = f"event: {event}\n" if event else ""
    lines = re.split(r"\r\n|\r|\n", data)
    return (head + "".join(f"data: {line}\n" for line in lines) + "\n").encode()
