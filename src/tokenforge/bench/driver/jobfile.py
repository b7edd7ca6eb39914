"""The job as a child reads it: a small JSON header, flat arrays, then all request bytes, which the child maps.

Layout: `length` u32, header JSON of that length, then for each request i64 `at_ns` (-1: closed loop), i64 offset into
the request bytes, i64 length, i64 index, i64 asked prompt tokens (-1: unknown), i64 asked output tokens, i64 `after`
(position of the turn before, -1: none), i64 thinking time in ns, i64 ns from send to hanging up (-1: never), each as
one array, then the request bytes. No pydantic, no domain objects: a plan of a million requests loads in milliseconds.
"""

import json
import mmap
import os
import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_LENGTH = struct.Struct("<I")
_COLUMNS = (
    "at_ns", "offset", "length", "index", "asked_prompt_tokens", "asked_output_tokens", "after", "think_ns",
    "hang_up_ns",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One request of a job but its bytes; -1 where there is none."""

    at_ns: int
    index: int
    asked_prompt_tokens: int
    asked_output_tokens: int
    after: int = -1
    think_ns: int = 0
    hang_up_ns: int = -1


class ChildJob:
    """A job file, mapped. Columns are arrays of equal length, requests in the order of sending.

    `has_turns`: some wait for the end of an earlier one.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            self._map = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        (header_length,) = _LENGTH.unpack_from(self._map)
        start = _LENGTH.size + header_length
        header = json.loads(self._map[_LENGTH.size : start])
        count = header["count"]
        columns = []
        for _ in _COLUMNS:
            columns.append(array("q", self._map[start : start + 8 * count]))
            start += 8 * count
        self.at_ns, self._offsets, self._lengths, self.index, *more = columns
        self.asked_prompt_tokens, self.asked_output_tokens, self.after, self.think_ns, self.hang_up_ns = more
        self.has_turns = max(self.after, default=-1) >= 0
        self._bytes = memoryview(self._map)[start:]
        self.host: str = header["host"]
        self.port: int = header["port"]
        self.tls: bool = header["tls"]
        self.trial: int = header["trial"]
        self.process: int = header["process"]
        self.processes: int = header["processes"]
        self.concurrency: int | None = header["concurrency"]
        self.duration_s: float | None = header["duration_s"]
        self.request_timeout_s: float = header["request_timeout_s"]
        self.drain_s: float = header["drain_s"]
        self.journal = Path(header["journal"])
        self.count: int = count

    def request(self, position: int) -> memoryview:
        """The bytes of the request at `position`, without a copy."""
        offset = self._offsets[position]
        return self._bytes[offset : offset + self._lengths[position]]


def write_job(file: IO[bytes], *, header: dict[str, object], rows: Sequence[JobRow], requests: Sequence[bytes]) -> None:
    """Write a job of one row and one request's bytes each."""
    text = json.dumps({**header, "count": len(rows)}).encode()
    offsets, position = array("q"), 0
    for request in requests:
        offsets.append(position)
        position += len(request)
    file.write(_LENGTH.pack(len(text)) + text)
    own = {"offset": offsets, "length": array("q", map(len, requests))}
    for name in _COLUMNS:
        column = own[name] if name in own else array("q", [getattr(row, name) for row in rows])
        file.write(column.tobytes())
    file.writelines(requests)
    file.flush()
