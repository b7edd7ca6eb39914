"""Journal: what one driver process saw, as append-only binary frames, so that a run killed anywhere keeps its records.

A file is a sequence of frames, little-endian: `kind` u8, `length` u32, `crc32` u32 (of the payload), payload.

- kind 1, head: version u16, trial i32, process i32. Always the first frame.
- kind 2, record: the fixed part `_RECORD` below, then `chunks` i64 stamps, `chunks` u32 token counts, the finish
  reason and the error in UTF-8. Stamps are ns from the trial's start; `_NONE` and -1 stand for "absent".
- kind 3, heartbeat: counters since the start (`Heartbeat`), about every 0.1 s; the last one has `final` set.

Frames are written whole but the last may be cut by a kill: a reader stops there. A damaged frame that others follow is
not a cut but a broken disk, and refused. Nothing is ever rewritten in place. Why not JSON: a record of 1,000 chunks
packs in microseconds, in the process whose punctuality is measured.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenforge.domain.errors import StoreFailed
from tokenforge.domain.record import Outcome, RequestRecord

HEAD, RECORD, HEARTBEAT = 1, 2, 3
VERSION = 1

_FRAME = struct.Struct("<BII")
_HEAD = struct.Struct("<Hii")
_RECORD = struct.Struct("<i5q6iiBiiIHH")
_HEARTBEAT = struct.Struct("<12qB")
_NONE = -(2**63)
_OUTCOMES = tuple(Outcome)
_OUTCOME_CODE = {outcome: code for code, outcome in enumerate(_OUTCOMES)}
_MAX_TEXT_BYTES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """Counters of one driver process at `at_ns`, all since its start. `tokens` are those parsed so far.

    `cpu_ns` is the process's CPU time under load, `retried` the requests sent again after a stale connection,
    `clock_steps` how often the wall clock jumped, `user_stamps` reads that had no kernel stamp out of `reads`.
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
    final: bool = False
    stopped_early: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestones:
    """The few stamps of a record that live progress needs, read without unpacking its chunks."""

    scheduled_ns: int | None
    sent_ns: int | None
    first_ns: int | None
    end_ns: int | None


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

    def poll(self) -> list[tuple[int, bytes]]:
        """New (kind, payload) frames; empty when the file is not there yet."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                fresh = file.read()
        except FileNotFoundError:
            return []
        self._offset += len(fresh)
        data = self._rest + fresh
        frames = list(_frames(data, source=self._path))
        used = sum(_FRAME.size + len(payload) for _, payload in frames)
        self._rest = data[used:]
        return frames


def read_journal(path: Path) -> list[RequestRecord]:
    """Every whole record of the file, in the order they ended. A frame cut at the end is left out.

    Raises StoreFailed when the file cannot be read, is no journal, or is damaged before its end.
    """
    frames = _frames(_read(path), source=path)
    trial = 0
    records: list[RequestRecord] = []
    for position, (kind, payload) in enumerate(frames):
        if position == 0:
            trial = _trial_of(kind, payload, path)
        elif kind == RECORD:
            records.append(decode_record(payload, trial=trial))
    return records


def encode_record(record: RequestRecord) -> bytes:
    """The payload of a record frame. `trial` is the file's, not the frame's."""
    finish = _text_bytes(record.finish_reason)
    error = _text_bytes(record.error)
    chunks = len(record.chunk_ns)
    fixed = _RECORD.pack(
        record.index,
        _ns(record.scheduled_ns),
        _ns(record.sent_ns),
        _ns(record.headers_ns),
        _ns(record.first_ns),
        _ns(record.end_ns),
        _count(record.asked_prompt_tokens),
        record.asked_output_tokens,
        _count(record.prompt_tokens),
        _count(record.cached_tokens),
        _count(record.output_tokens),
        record.counted_tokens,
        _count(record.http_status),
        _OUTCOME_CODE[record.outcome],
        record.connection,
        record.merged_reads,
        chunks,
        len(finish),
        len(error),
    )
    stamps = struct.pack(f"<{chunks}q{chunks}I", *record.chunk_ns, *record.chunk_tokens)
    return fixed + stamps + finish + error


def decode_record(payload: bytes, *, trial: int) -> RequestRecord:
    """The record of a frame's payload."""
    head = _RECORD.unpack_from(payload)
    index, at, sent, headers, first, end = head[:6]
    asked_prompt, asked_output, prompt, cached, output, counted, status, outcome, connection, merged = head[6:16]
    chunks, finish_length, error_length = head[16:]
    numbers = struct.unpack_from(f"<{chunks}q{chunks}I", payload, _RECORD.size)
    text_at = len(payload) - finish_length - error_length
    error_at = len(payload) - error_length
    return RequestRecord(
        trial=trial,
        index=index,
        scheduled_ns=_ns_or_none(at),
        sent_ns=_ns_or_none(sent),
        headers_ns=_ns_or_none(headers),
        first_ns=_ns_or_none(first),
        end_ns=_ns_or_none(end),
        chunk_ns=numbers[:chunks],
        chunk_tokens=numbers[chunks:],
        asked_prompt_tokens=_count_or_none(asked_prompt),
        asked_output_tokens=asked_output,
        prompt_tokens=_count_or_none(prompt),
        cached_tokens=_count_or_none(cached),
        output_tokens=_count_or_none(output),
        counted_tokens=counted,
        finish_reason=payload[text_at:error_at].decode() or None,
        http_status=_count_or_none(status),
        outcome=_OUTCOMES[outcome],
        error=payload[error_at:].decode() or None,
        connection=connection,
        merged_reads=merged,
    )


def decode_milestones(payload: bytes) -> Milestones:
    """The stamps of a record frame's fixed part alone."""
    _, at, sent, _, first, end = _RECORD.unpack_from(payload)[:6]
    return Milestones(
        scheduled_ns=_ns_or_none(at), sent_ns=_ns_or_none(sent), first_ns=_ns_or_none(first), end_ns=_ns_or_none(end)
    )


def decode_heartbeat(payload: bytes) -> Heartbeat:
    """The heartbeat of a frame's payload."""
    numbers = _HEARTBEAT.unpack_from(payload)
    at, sent, finished, errors, in_flight, tokens, cpu, pause, retried, steps, reads, user, final = numbers
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
        final=bool(final),
        stopped_early=payload[_HEARTBEAT.size :].decode() or None,
    )


def _encode_heartbeat(beat: Heartbeat) -> bytes:
    counters = (beat.at_ns, beat.sent, beat.finished, beat.errors, beat.in_flight, beat.tokens, beat.cpu_ns)
    more = (beat.gc_pause_max_ns, beat.retried, beat.clock_steps, beat.reads, beat.user_stamps)
    return _HEARTBEAT.pack(*counters, *more, beat.final) + _text_bytes(beat.stopped_early)


def _frames(data: bytes, *, source: Path) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + _FRAME.size <= len(data):
        kind, length, checksum = _FRAME.unpack_from(data, position)
        end = position + _FRAME.size + length
        if end > len(data):
            return
        payload = data[position + _FRAME.size : end]
        if zlib.crc32(payload) != checksum:
            raise StoreFailed(f"{source} is damaged at byte {position}", hint="the disk or another writer broke it")
        yield kind, payload
        position = end


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StoreFailed(f"cannot read the journal {path}: {error.strerror}") from error


def _trial_of(kind: int, payload: bytes, path: Path) -> int:
    version, trial, _ = _HEAD.unpack_from(payload) if kind == HEAD and len(payload) == _HEAD.size else (0, 0, 0)
    if version != VERSION:
        raise StoreFailed(
            f"{path} is not a journal of version {VERSION}", hint="read it with the version that wrote it"
        )
    return int(trial)


def _text_bytes(text: str | None) -> bytes:
    raw = (text or "").encode(errors="replace")
    return raw if len(raw) <= _MAX_TEXT_BYTES else raw[:_MAX_TEXT_BYTES].decode(errors="ignore").encode()


def _ns(value: int | None) -> int:
    return _NONE if value is None else value


def _ns_or_none(value: int) -> int | None:
    return None if value == _NONE else value


def _count(value: int | None) -> int:
    return -1 if value is None else value


def _count_or_none(value: int) -> int | None:
    return None if value == -1 else value
