"""The job as a child reads it: a small JSON header, flat arrays, then all request bytes, which the child maps.

Layout: `length` u32, header JSON of that length, then for each request i64 `at_ns` (-1: closed loop), i64 offset into
the request bytes, i64 length, i64 index, i64 asked prompt tokens (-1: unknown), i64 asked output tokens, each as one
array, then the request bytes. No pydantic, no domain objects: a plan of a million requests loads in milliseconds.
"""

import json
import mmap
import os
import struct
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import IO

_LENGTH = struct.Struct("<I")
_COLUMNS = ("at_ns", "offset", "length", "index", "asked_prompt_tokens", "asked_output_tokens")


class ChildJob:
    """A job file, mapped. Columns are arrays of equal length, requests in the order of sending."""

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
        self.at_ns, self._offsets, self._lengths, self.index, self.asked_prompt_tokens, self.asked_output_tokens = (
            columns
        )
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


def write_job(
    file: IO[bytes], *, header: dict[str, object], rows: Sequence[tuple[int, int, int, int]], requests: Sequence[bytes]
) -> None:
    """Write a job. `rows` are (at_ns, index, asked prompt tokens, asked output tokens), one per request."""
    text = json.dumps({**header, "count": len(rows)}).encode()
    offsets, position = array("q"), 0
    for request in requests:
        offsets.append(position)
        position += len(request)
    file.write(_LENGTH.pack(len(text)) + text)
    at, index, prompt, output = (array("q", column) for column in zip(*rows, strict=True)) if rows else [array("q")] * 4
    for column in (at, offsets, array("q", map(len, requests)), index, prompt, output):
        file.write(column.tobytes())
    file.writelines(requests)
    file.flush()
