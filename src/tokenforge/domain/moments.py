"""Moments as text: RFC 3339, UTC, as records, events and answers write them."""

from datetime import UTC, datetime
from typing import Literal


def moment_text(at: datetime, precision: Literal["seconds", "milliseconds"] = "milliseconds") -> str:
    """An aware time as `2026-01-01T00:00:00.000Z`."""
    return at.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
