"""One byte form for any domain value, so that equal plans have equal hashes on any machine."""

import dataclasses
import enum
import hashlib
import json
from collections.abc import Mapping


def to_plain(value: object) -> object:
    """Turn dataclasses, enums, tuples and mappings into JSON values; dataclasses keep their field names.

    Raises TypeError for a value without a canonical form (a set, a float that is not finite).
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"no canonical form for {type(value).__name__}: {value!r}")


def canonical_bytes(value: object) -> bytes:
    """UTF-8 JSON with sorted keys, no spaces, shortest floats; NaN and infinity are refused (ValueError)."""
    plain = to_plain(value)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256_hex(value: object) -> str:
    """The SHA-256 of the canonical bytes, in hex."""
    return hashlib.sha256(canonical_bytes(value)).hexdigest()
