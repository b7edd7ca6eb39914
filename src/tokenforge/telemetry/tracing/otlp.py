"""Spans as OTLP's protobuf message (`ExportTraceServiceRequest`), written by hand.

The message is a few nested fields whose numbers never change, and no worker's environment then needs a protobuf library
that its engine may pin otherwise. Tests read what is written here with the official classes.
"""

import struct
from collections.abc import Iterable, Mapping

from tokenforge.telemetry.tracing.span import Span, Value

_ERROR = 2
_DOUBLE = struct.Struct("<d")
_FIXED = struct.Struct("<Q")
_SAMPLED_LOCAL = 0x01


def export_request(
    spans: Iterable[Span], *, resource: Mapping[str, Value], scope: tuple[str, str], unix_offset_ns: int
) -> bytes:
    """The request's bytes. `unix_offset_ns` turns monotonic stamps into Unix time."""
    name, version = scope
    scoped = _message(1, _text(1, name) + _text(2, version))
    scoped += b"".join(_message(2, _span(span, unix_offset_ns)) for span in spans)
    attributes = b"".join(_message(1, _pair(key, value)) for key, value in resource.items())
    return _message(1, _message(1, attributes) + _message(2, scoped))


def _span(span: Span, offset_ns: int) -> bytes:
    parts = [
        _bytes(1, span.trace_id),
        _bytes(2, span.span_id),
        _bytes(4, span.parent_id),
        _text(5, span.name),
        _number(6, span.kind),
        b"\x39" + _FIXED.pack(span.began_ns + offset_ns),
        b"\x41" + _FIXED.pack(span.ended_ns + offset_ns),
        *(_message(9, _pair(key, value)) for key, value in span.attributes.items()),
    ]
    if span.error is not None:
        parts.append(_message(15, _text(2, span.error) + _number(3, _ERROR)))
    parts.append(b"\x85\x01" + struct.pack("<I", _SAMPLED_LOCAL))
    return b"".join(parts)


def _pair(key: str, value: Value) -> bytes:
    return _text(1, key) + _message(2, _any(value))


def _any(value: Value) -> bytes:
    if isinstance(value, bool):
        return _number(2, int(value))
    if isinstance(value, int):
        return _number(3, value)
    if isinstance(value, float):
        return b"\x21" + _DOUBLE.pack(value)
    if isinstance(value, tuple):
        return _message(5, b"".join(_message(1, _any(item)) for item in value))
    return _text(1, value)


def _number(field: int, value: int) -> bytes:
    """A varint; negative numbers take ten bytes, as protobuf has it."""
    return bytes((field << 3,)) + _varint(value & (2**64 - 1))


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode("utf-8", "replace"))


def _bytes(field: int, value: bytes) -> bytes:
    return _message(field, value) if value else b""


def _message(field: int, content: bytes) -> bytes:
    return bytes((field << 3 | 2,)) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
