"""Ids that sort by the time they were made: UUIDv7 (RFC 9562, section 5.7).

Clock and chance come in as arguments, so a test knows every id beforehand.
"""

import uuid

_RANDOM_BYTES = 10


def uuid7(*, unix_ms: int, random: bytes) -> str:
    """An id of this millisecond. Raises ValueError unless `random` has 10 bytes and the time fits 48 bits."""
    if len(random) != _RANDOM_BYTES or not 0 <= unix_ms < 1 << 48:
        raise ValueError(f"needs {_RANDOM_BYTES} random bytes and a time of 48 bits, got {len(random)} and {unix_ms}")
    bits = int.from_bytes(random, "big")
    high, low = bits >> 68, bits & ((1 << 62) - 1)
    return str(uuid.UUID(int=unix_ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low))
