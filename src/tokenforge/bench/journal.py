"""Journal: what one driver process saw, as append-only binary frames, so that a run killed anywhere keeps its records.

A file is a sequence of frames, little-endian: `kind` u8, `length` u32, `crc32` u32 (of the payload), payload.

- kind 1, head: version u16, trial i32, process i32. Always the first frame.
- kind 2, record: a `RequestRecord` as `bench.record_bytes` has it.
- kind 3, heartbeat: counters since the start (`Heartbeat`), about every 0.1 s; the last one has `final` set.

Frames are written whole but the last may be cut by a kill: a reader stops there. A damaged frame that others follow is
not a cut but a broken disk, and refused. Nothing is ever rewritten in place.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenforge.bench.record_bytes import decode_record, encode_record, text_bytes
from tokenforge.domain.errors import StoreFailed
from tokenforge.domain.record import RequestRecord

HEAD, RECORD, HEARTBEAT = 1, 2, 3
VERSION = 3

_FRAME = struct.Struct("<BII")
_HEAD = struct.Struct("<Hii")
_HEARTBEAT = struct.Struct("<14qB")
_BLOCK_BYTES = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Counters of one driver process at `at_ns`, all since its start. `tokens` are those parsed so far.

    `cpu_ns` is the process's CPU time under load, `retried` the requests sent again after a stale connection,
    `clock_steps` how often the wall clock jumped, `user_stamps` reads that had no kernel stamp out of `reads`.
    `loop_delay_max_ns` is the longest time for which the loop was away, `loop_stalled_ns` the sum of the long ones.
    """

    at_ns: int
    sent: int
    finished: int
    errors: int
    in_flight: int
    tokens: int
    cpu_ns: int
    gc_pause_max_ns: int
    retried: int
    clock_steps: int
    reads: int
    user_stamps: int
    loop_delay_max_ns: int = 0
    loop_stalled_ns: int = 0
    final: bool = False
    stopped_early: str | None = None


class JournalWriter:
    """Appends frames. `record` and `heartbeat` only buffer; `flush` writes everything buffered in one call."""

    def __init__(self, path: Path, *, trial: int, process: int) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._pending: list[bytes] = []
        self._add(HEAD, _HEAD.pack(VERSION, trial, process))
        self.flush()

    def record(self, record: RequestRecord) -> None:
        """Buffer one record."""
        self._add(RECORD, encode_record(record))

    def heartbeat(self, beat: Heartbeat) -> None:
        """Buffer one heartbeat."""
        self._add(HEARTBEAT, _encode_heartbeat(beat))

    def flush(self) -> None:
        """Hand what is buffered to the kernel; it then survives a kill of this process."""
        if not self._pending:
            return
        view = memoryview(b"".join(self._pending))
        self._pending.clear()
        while view:
            view = view[os.write(self._fd, view) :]

    def close(self) -> None:
        """Flush and close; twice is harmless."""
        if self._fd >= 0:
            self.flush()
            os.close(self._fd)
            self._fd = -1

    def _add(self, kind: int, payload: bytes) -> None:
        self._pending.append(_FRAME.pack(kind, len(payload), zlib.crc32(payload)))
        self._pending.append(payload)


class JournalTail:
    """Follows a journal that another process is writing; each `poll` gives the frames that became whole since."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def poll(self) -> Iterator[tuple[int, bytes]]:
        """New (kind, payload) frames, read some megabytes at a time; none when the file is not there yet."""
        if not self._path.exists():
            return
        for fresh in _blocks(self._path, start=self._offset):
            self._offset += len(fresh)
            data = self._rest + fresh
            frames = list(_frames(data, source=self._path, start=self._offset - len(data)))
            used = sum(_FRAME.size + len(payload) for _, payload in frames)
            self._rest = data[used:]
            yield from frames


def read_journal(path: Path) -> list[RequestRecord]:
    """Every whole record of the file, in the order they ended. A frame cut at the end is left out.

    Raises StoreFailed when the file cannot be read, is no journal, or is damaged before its end.
    """
    trial = 0
    records: list[RequestRecord] = []
    for kind, _, payload in journal_frames(path):
        if kind == HEAD:
            trial = _trial_of(kind, payload, path)
        elif kind == RECORD:
            records.append(decode_record(payload, trial=trial))
    return records


def journal_frames(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Kind, place of the payload in the file, and payload of every whole frame; a few megabytes are in memory at once.

    Raises StoreFailed as `read_journal` does.
    """
    start, rest, is_first = 0, b"", True
    for fresh in _blocks(path):
        data, at = rest + fresh, 0
        for kind, payload in _frames(data, source=path, start=start):
            if is_first:
                _trial_of(kind, payload, path)
                is_first = False
            yield kind, start + at + _FRAME.size, payload
            at += _FRAME.size + len(payload)
        start, rest = start + at, data[at:]


def decode_heartbeat(payload: bytes) -> Heartbeat:
    """The heartbeat of a frame's payload."""
    numbers = _HEARTBEAT.unpack_from(payload)
    at, sent, finished, errors, in_flight, tokens, cpu, pause, retried, steps, reads, user, away, stalled, final = (
        numbers
    )
    return Heartbeat(
        at_ns=at,
        sent=sent,
        finished=finished,
        errors=errors,
        in_flight=in_flight,
        tokens=tokens,
        cpu_ns=cpu,
        gc_pause_max_ns=pause,
        retried=retried,
        clock_steps=steps,
        reads=reads,
        user_stamps=user,
        loop_delay_max_ns=away,
        loop_stalled_ns=stalled,
        final=bool(final),
        stopped_early=payload[_HEARTBEAT.size :].decode() or None,
    )


def _encode_heartbeat(beat: Heartbeat) -> bytes:
    counters = (beat.at_ns, beat.sent, beat.finished, beat.errors, beat.in_flight, beat.tokens, beat.cpu_ns)
    more = (beat.gc_pause_max_ns, beat.retried, beat.clock_steps, beat.reads, beat.user_stamps)
    away = (beat.loop_delay_max_ns, beat.loop_stalled_ns)
    return _HEARTBEAT.pack(*counters, *more, *away, beat.final) + text_bytes(beat.stopped_early)


def _frames(data: bytes, *, source: Path, start: int = 0) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + _FRAME.size <= len(data):
        kind, length, checksum = _FRAME.unpack_from(data, position)
        end = position + _FRAME.size + length
        if end > len(data):
            return
        payload = data[position + _FRAME.size : end]
        if zlib.crc32(payload) != checksum:
            raise StoreFailed(
                f"{source} is damaged at byte {start + position}", hint="the disk or another writer broke it"
            )
        yield kind, payload
        position = end


def _blocks(path: Path, *, start: int = 0) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(start)
            while fresh := file.read(_BLOCK_BYTES):
                yield fresh
    except OSError as error:
        raise StoreFailed(f"cannot read the journal {path}: {error.strerror}") from error


def _trial_of(kind: int, payload: bytes, path: Path) -> int:
    version, trial, _ = _HEAD.unpack_from(payload) if kind == HEAD and len(payload) == _HEAD.size else (0, 0, 0)
    if version != VERSION:
        raise StoreFailed(
            f"{path} is not a journal of version {VERSION}", hint="read it with the version that wrote it"
        )
    return int(trial)
