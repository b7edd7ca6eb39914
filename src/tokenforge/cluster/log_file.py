"""Log files that do not grow without bound: what is oldest in them goes, whoever writes writes on."""

import os
from collections.abc import Iterable
from pathlib import Path

MOST_BYTES = 16 << 20
"""A log is cut to its newer half beyond this."""


def trim_logs(logs: Iterable[Path], *, most_bytes: int = MOST_BYTES) -> list[Path]:
    """Cut those that are too large; returns which. One that is gone, or cannot be cut now, is left alone."""
    return [log for log in logs if _trim(log, most_bytes)]


def _trim(log: Path, most_bytes: int) -> bool:
    """Keep the newer half in place: the writers hold the file open to append, so it must stay the same file.

    What is written in this very moment may come before the half that is kept; it is not lost.
    """
    try:
        if log.stat().st_size <= most_bytes:
            return False
        with log.open("rb") as file:
            file.seek(-(most_bytes // 2), os.SEEK_END)
            file.readline()
            kept = file.read()
        with log.open("ab") as file:
            file.truncate(0)
            file.write(kept)
    except OSError:
        return False
    return True
