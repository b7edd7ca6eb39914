"""One `RequestRecord` as bytes, the payload of a journal's record frame, little-endian.

A fixed part (`FIXED_FIELDS`), then `chunks` i64 stamps, `chunks` u32 token counts, the finish reason and the error in
UTF-8. Stamps are ns from the trial's start; `NO_STAMP` and -1 stand for "absent". Why not JSON: a record of 1,000
chunks packs in microseconds, in the process whose punctuality is measured. Standard library only, for the same reason.
"""

import struct
from dataclasses import dataclass

from tokenforge.domain.record import Outcome, RequestRecord

NO_STAMP = -(2**63)
NO_COUNT = -1
OUTCOMES = tuple(Outcome)
STAMP_BYTES, TOKEN_BYTES = 8, 4

FIXED_FIELDS = (
    ("index", "i"),
    ("scheduled_ns", "q"),
    ("sent_ns", "q"),
    ("headers_ns", "q"),
    ("first_ns", "q"),
    ("end_ns", "q"),
    ("asked_prompt_tokens", "i"),
    ("asked_output_tokens", "i"),
    ("prompt_tokens", "i"),
    ("cached_tokens", "i"),
    ("output_tokens", "i"),
    ("counted_tokens", "i"),
    ("http_status", "i"),
    ("outcome", "B"),
    ("connection", "i"),
    ("merged_reads", "i"),
    ("server_first_ns", "q"),
    ("server_queue_ns", "q"),
    ("server_prefill_ns", "q"),
    ("gateway_ns", "q"),
    ("chunks", "I"),
    ("finish_bytes", "H"),
    ("error_bytes", "H"),
)
"""Name and `struct` code of each number of the fixed part. The outcome is its place in `OUTCOMES`."""

FIXED = struct.Struct("<" + "".join(code for _, code in FIXED_FIELDS))

_OUTCOME_CODE = {outcome: code for code, outcome in enumerate(OUTCOMES)}
_MAX_TEXT_BYTES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestones:
    """The few stamps of a record that live progress needs, read without unpacking its chunks."""

    scheduled_ns: int | None
    sent_ns: int | None
    first_ns: int | None
    end_ns: int | None


def encode_record(record: RequestRecord) -> bytes:
    """The payload of a record frame. `trial` is the file's, not the frame's."""
    finish = text_bytes(record.finish_reason)
    error = text_bytes(record.error)
    chunks = len(record.chunk_ns)
    fixed = FIXED.pack(
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
        _ns(record.server_first_ns),
        _ns(record.server_queue_ns),
        _ns(record.server_prefill_ns),
        _ns(record.gateway_ns),
        chunks,
        len(finish),
        len(error),
    )
    stamps = struct.pack(f"<{chunks}q{chunks}I", *record.chunk_ns, *record.chunk_tokens)
    return fixed + stamps + finish + error


def decode_record(payload: bytes, *, trial: int) -> RequestRecord:
    """The record of a frame's payload."""
    head = FIXED.unpack_from(payload)
    index, at, sent, headers, first, end = head[:6]
    asked_prompt, asked_output, prompt, cached, output, counted, status, outcome, connection, merged = head[6:16]
    server_first, server_queue, server_prefill, gateway = head[16:20]
    chunks, finish_length, error_length = head[20:]
    numbers = struct.unpack_from(f"<{chunks}q{chunks}I", payload, FIXED.size)
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
        outcome=OUTCOMES[outcome],
        error=payload[error_at:].decode() or None,
        connection=connection,
        merged_reads=merged,
        server_first_ns=_ns_or_none(server_first),
        server_queue_ns=_ns_or_none(server_queue),
        server_prefill_ns=_ns_or_none(server_prefill),
        gateway_ns=_ns_or_none(gateway),
    )


def decode_milestones(payload: bytes) -> Milestones:
    """The stamps of a record frame's fixed part alone."""
    _, at, sent, _, first, end = FIXED.unpack_from(payload)[:6]
    return Milestones(
        scheduled_ns=_ns_or_none(at), sent_ns=_ns_or_none(sent), first_ns=_ns_or_none(first), end_ns=_ns_or_none(end)
    )


def text_bytes(text: str | None) -> bytes:
    """UTF-8, cut to whole characters within 2,000 bytes; nothing for None."""
    raw = (text or "").encode(errors="replace")
    return raw if len(raw) <= _MAX_TEXT_BYTES else raw[:_MAX_TEXT_BYTES].decode(errors="ignore").encode()


def _ns(value: int | None) -> int:
    return NO_STAMP if value is None else value


def _ns_or_none(value: int) -> int | None:
    return None if value == NO_STAMP else value


def _count(value: int | None) -> int:
    return NO_COUNT if value is None else value


def _count_or_none(value: int) -> int | None:
    return None if value == NO_COUNT else value
