"""Files of a run in a folder: each is whole or not there.

A file is written beside its final name, flushed to the disk, and renamed; so a killed process or a full disk leaves no
half file under a name that looks finished. Refuses to overwrite a folder that already holds a record.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from tokenforge.domain.errors import Fault, InvalidInput, StoreFailed

RECORD_FILE = "record.json"
REQUESTS_FILE = "requests.parquet"
REPORT_FILE = "report.html"
MARKDOWN_FILE = "report.md"

MEDIA_TYPES = {
    REPORT_FILE: "text/html; charset=utf-8",
    MARKDOWN_FILE: "text/markdown; charset=utf-8",
    RECORD_FILE: "application/json",
    REQUESTS_FILE: "application/vnd.apache.parquet",
}
"""The files of a run that are kept and served."""


def open_run_folder(folder: Path) -> Path:
    """Make `folder` for a new run. Raises InvalidInput when it holds a record, StoreFailed when it can't be written."""
    if (folder / RECORD_FILE).exists():
        hint = "choose another --out, or move the old run away"
        raise InvalidInput([Fault(field="--out", value=str(folder), message="already holds a run", hint=hint)])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        raise store_failed(folder, error) from error
    return folder


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> str:
    """Let `write` fill a temporary file, then give it its name. Returns the SHA-256 (hex). Raises StoreFailed."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise store_failed(path, error) from error


def write_text(path: Path, text: str) -> str:
    """`write_whole` for UTF-8 text."""
    return write_whole(path, lambda file: _write_all(file, text.encode()))


def _write_all(file: BinaryIO, data: bytes) -> None:
    file.write(data)


def store_failed(path: Path, error: OSError) -> StoreFailed:
    """Name the cause of a failed write: which path, what the system said, what to do."""
    reason = error.strerror or str(error)
    hint = (
        "Free some space or choose another --out" if error.errno == 28 else "Choose a folder you can write to (--out)"
    )
    return StoreFailed(f"{path} could not be written: {reason}", hint=hint)
