"""The records of one trial in columns: read from its drivers' journals, sorted by index, no Python object per request.

The fixed part of every record (about 140 bytes) is held in memory for few requests, in a file without a name beside the
journals for many. Chunks, the bulk, stay in the journals and are read again when tables are made, some thousand
requests at a time; so memory grows by 8 bytes a request. The journals must stay where they are until then. Requests
that two journals hold are both kept, in the journals' order.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenforge.bench.journal import RECORD, journal_frames
from tokenforge.bench.record_bytes import (
    FIXED,
    FIXED_FIELDS,
    NO_COUNT,
    NO_STAMP,
    OUTCOMES,
    STAMP_BYTES,
    TOKEN_BYTES,
    decode_record,
)
from tokenforge.bench.spilled_rows import SpilledRows
from tokenforge.domain.errors import StoreFailed
from tokenforge.domain.record import Outcome, RequestRecord
from tokenforge.store.requests_table import RECORD_COLUMNS

Ints = npt.NDArray[np.int64]

_FIXED_TYPE = np.dtype([(name, "<" + code) for name, code in FIXED_FIELDS])
_FRAME_TYPE = np.dtype([("journal", np.int32), ("at", np.int64), ("fixed", _FIXED_TYPE)])
_SCANNED_BYTES = 1 << 21
_TABLE_ROWS = 1 << 14
_TABLE_CHUNKS = 1 << 21
_MOST_TOKENS = 2**31 - 1
_NEVER_ABSENT = {"index", "asked_output_tokens", "counted_tokens", "connection", "merged_reads"}
_OUTCOME_NAMES = pa.array([str(outcome) for outcome in OUTCOMES], pa.string())


class TrialRecords:
    """What was recorded of one trial. `token_reads` brought its tokens: chunks next to each other from one read share
    its stamp."""

    def __init__(self, *, trial: int, journals: Sequence[Path], frames: SpilledRows, token_reads: int) -> None:
        self.trial = trial
        self.token_reads = token_reads
        self._journals = tuple(journals)
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def column(self, name: str) -> Ints:
        """A number of the fixed part per request; absent is `NO_STAMP` or `NO_COUNT`."""
        numbers = np.empty(len(self), np.int64)
        at = 0
        for frames in self._frames.blocks():
            numbers[at : at + len(frames)] = frames["fixed"][name]
            at += len(frames)
        return numbers

    def count(self, *outcomes: Outcome) -> int:
        """How many requests ended in one of these ways."""
        return int(np.isin(self.column("outcome"), [OUTCOMES.index(one) for one in outcomes]).sum())

    @property
    def sent(self) -> int:
        """How many requests were sent; the others found no connection."""
        return int((self.column("sent_ns") != NO_STAMP).sum())

    def scheduled_ns(self) -> Ints:
        """When requests were due, of those that have a schedule."""
        stamps = self.column("scheduled_ns")
        due: Ints = stamps[stamps != NO_STAMP]
        return due

    def lags_ns(self) -> Ints:
        """Sent minus scheduled of each request that has both."""
        due, sent = self.column("scheduled_ns"), self.column("sent_ns")
        known = (due != NO_STAMP) & (sent != NO_STAMP)
        lags: Ints = sent[known] - due[known]
        return lags

    @property
    def last_end_ns(self) -> int:
        """When the last answer ended; 0 when none did."""
        ends = self.column("end_ns")
        return int(np.where(ends == NO_STAMP, 0, ends).max(initial=0))

    def records(self) -> tuple[RequestRecord, ...]:
        """Every request as an object: for small trials, memory grows with every chunk."""
        frames = self._frames.take(slice(None))
        return tuple(decode_record(payload, trial=self.trial) for payload in self._payloads(frames))

    def sample(self, most: int) -> tuple[RequestRecord, ...]:
        """About `most` objects, at even steps, of the requests that ended well and have chunks."""
        fine = np.flatnonzero((self.column("outcome") == OUTCOMES.index(Outcome.OK)) & (self.column("chunks") > 0))
        frames = self._frames.take(fine[:: max(1, len(fine) // most)])
        return tuple(decode_record(payload, trial=self.trial) for payload in self._payloads(frames))

    def tables(self) -> Iterator[pa.Table]:
        """The rows in order, with `RECORD_COLUMNS`; each table is one row group's worth. Raises StoreFailed."""
        chunks = np.concatenate(([0], np.cumsum(self.column("chunks"))))
        start = 0
        while start < len(self):
            full = int(np.searchsorted(chunks, chunks[start] + _TABLE_CHUNKS, "right")) - 1
            end = min(start + _TABLE_ROWS, max(full, start + 1))
            frames = self._frames.take(slice(start, end))
            yield _table(frames["fixed"], list(self._payloads(frames)), trial=self.trial)
            start = end

    def _payloads(self, frames: npt.NDArray[np.void]) -> Iterator[bytes]:
        """The payload of each frame, read from its journal."""
        with ExitStack() as stack:
            files = {one: _open(self._journals[one], stack) for one in np.unique(frames["journal"]).tolist()}
            sizes = _payload_bytes(frames["fixed"]).tolist()
            for journal, at, size in zip(frames["journal"].tolist(), frames["at"].tolist(), sizes, strict=True):
                payload = os.pread(files[journal], size, at)
                if len(payload) != size:
                    raise StoreFailed(f"{self._journals[journal]} is shorter than it was when the trial ended")
                yield payload


def read_trial(journals: Sequence[Path], *, trial: int, until_damage: bool = False) -> TrialRecords:
    """Read and check every whole record of a trial's journals.

    Raises StoreFailed when one of them cannot be read, is no journal, or is damaged before its end; with `until_damage`
    it counts up to there instead.
    """
    frames = SpilledRows(_FRAME_TYPE, folder=journals[0].parent if journals else Path())
    indices: list[Ints] = [np.empty(0, np.int64)]
    token_reads = 0
    for number, path in enumerate(journals):
        for part, reads in _scan_until_damage(path, number) if until_damage else _scan(path, number):
            frames.add(part)
            indices.append(part["fixed"]["index"].astype(np.int64))
            token_reads += reads
    frames.sort(np.concatenate(indices))
    return TrialRecords(trial=trial, journals=journals, frames=frames, token_reads=token_reads)


def _scan_until_damage(path: Path, journal: int) -> Iterator[tuple[npt.NDArray[np.void], int]]:
    with suppress(StoreFailed):
        yield from _scan(path, journal)


def _scan(path: Path, journal: int) -> Iterator[tuple[npt.NDArray[np.void], int]]:
    """`_scanned` of some megabytes at a time; what came before a damage is given before it is raised."""
    places: list[int] = []
    payloads: list[bytes] = []
    held, damage = 0, None
    try:
        for kind, at, payload in journal_frames(path):
            if kind == RECORD:
                places.append(at)
                payloads.append(payload)
                held += len(payload)
            if held > _SCANNED_BYTES:
                yield _scanned(places, payloads, journal=journal)
                places, payloads, held = [], [], 0
    except StoreFailed as error:
        damage = error
    yield _scanned(places, payloads, journal=journal)
    if damage is not None:
        raise damage


def _scanned(places: list[int], payloads: list[bytes], *, journal: int) -> tuple[npt.NDArray[np.void], int]:
    """Frames of some payloads, and how many reads brought their tokens."""
    frames = np.empty(len(places), _FRAME_TYPE)
    fixed = np.frombuffer(b"".join([payload[: FIXED.size] for payload in payloads]), _FIXED_TYPE)
    frames["journal"], frames["at"], frames["fixed"] = journal, places, fixed
    stamps, _ = _chunks(payloads, fixed["chunks"].tolist())
    is_new = np.ones(len(stamps), np.bool_)
    is_new[1:] = stamps[1:] != stamps[:-1]
    is_new[_starts(fixed)[:-1][fixed["chunks"] > 0]] = True
    return frames, int(is_new.sum())


def _table(fixed: npt.NDArray[np.void], payloads: Sequence[bytes], *, trial: int) -> pa.Table:
    """Rows with `RECORD_COLUMNS`."""
    stamps, tokens = _chunks(payloads, fixed["chunks"].tolist())
    offsets = pa.array(_starts(fixed), pa.int32())
    columns: dict[str, pa.Array[Any]] = {
        "trial": pa.array(np.full(len(fixed), trial), pa.int32()),
        "chunk_ns": pa.ListArray.from_arrays(offsets, pa.array(stamps, pa.int64())),
        "chunk_tokens": pa.ListArray.from_arrays(offsets, pa.array(np.minimum(tokens, _MOST_TOKENS), pa.int32())),
        "outcome": _OUTCOME_NAMES.take(pa.array(fixed["outcome"])),
        "finish_reason": _texts(payloads, fixed, before_end=("finish_bytes", "error_bytes")),
        "error": _texts(payloads, fixed, before_end=("error_bytes",)),
    }
    for field in RECORD_COLUMNS:
        if field.name not in columns:
            columns[field.name] = _numbers(fixed, field)
    return pa.table(columns, schema=RECORD_COLUMNS)


def _numbers(fixed: npt.NDArray[np.void], field: "pa.Field[Any]") -> "pa.Array[Any]":
    values = np.ascontiguousarray(fixed[field.name])
    absent = None if field.name in _NEVER_ABSENT else values == (NO_STAMP if values.itemsize == 8 else NO_COUNT)
    numbers: pa.Array[Any] = pa.array(values, field.type, mask=absent)
    return numbers


def _chunks(payloads: Sequence[bytes], counts: Sequence[int]) -> tuple[Ints, npt.NDArray[np.uint32]]:
    """Stamps and token counts of all payloads, flat."""
    at, width = FIXED.size, STAMP_BYTES + TOKEN_BYTES
    stamps = b"".join([p[at : at + STAMP_BYTES * n] for p, n in zip(payloads, counts, strict=True)])
    tokens = b"".join([p[at + STAMP_BYTES * n : at + width * n] for p, n in zip(payloads, counts, strict=True)])
    return np.frombuffer(stamps, "<i8"), np.frombuffer(tokens, "<u4")


def _texts(payloads: Sequence[bytes], fixed: npt.NDArray[np.void], *, before_end: Sequence[str]) -> "pa.Array[Any]":
    """The text whose length is the first of `before_end`, and which ends with the others; none where it is empty."""
    lengths = fixed[before_end[0]].tolist()
    rests: Ints = np.sum([fixed[name] for name in before_end], axis=0, dtype=np.int64)
    words = [
        p[len(p) - rest : len(p) - rest + length].decode() if length else None
        for p, rest, length in zip(payloads, rests.tolist(), lengths, strict=True)
    ]
    return pa.array(words, pa.string())


def _starts(fixed: npt.NDArray[np.void]) -> Ints:
    """Where the chunks of each row begin, flat; and, last, where they all end."""
    return np.concatenate(([0], np.cumsum(fixed["chunks"], dtype=np.int64)))


def _payload_bytes(fixed: npt.NDArray[np.void]) -> Ints:
    numbers = FIXED.size + (STAMP_BYTES + TOKEN_BYTES) * fixed["chunks"].astype(np.int64)
    return np.asarray(numbers + fixed["finish_bytes"] + fixed["error_bytes"], dtype=np.int64)


def _open(path: Path, stack: ExitStack) -> int:
    try:
        return stack.enter_context(path.open("rb", buffering=0)).fileno()
    except OSError as error:
        raise StoreFailed(f"cannot read the journal {path}: {error.strerror}") from error
