"""Ceilings: what a device can do at most, in FLOP/s and bytes/s, and where the two numbers come from.

A vendor's peak is a sheet's number; a measured ceiling is what this very machine reached in a simple loop. Every number
that is computed from a ceiling names which of the two it was.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from tokenforge.domain.runtime import Accelerator


class CeilingKind(enum.StrEnum):
    """Where a ceiling comes from."""

    MEASURED = "measured"
    VENDOR = "vendor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """One device's ceiling.

    `flops` is dense matrix FLOP/s by number format (`bfloat16`, `float32`): a format that is not there is not known.
    `bytes_per_s` is of its main memory. `cache_bytes` is the largest cache before that memory: what lies in it need not
    be read again. `as_of` is the day it was measured, or looked up (ISO).
    """

    kind: CeilingKind
    device: str
    accelerator: Accelerator
    flops: Mapping[str, float]
    bytes_per_s: float
    cache_bytes: int
    source: str
    as_of: str
