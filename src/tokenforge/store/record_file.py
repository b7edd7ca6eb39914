"""`record.json` as it lies on the disk: found, read, and checked for what it says it is."""

import json
from pathlib import Path

from tokenforge.domain.benchmark_record import RECORD_SCHEMA
from tokenforge.domain.errors import NotFound, StoreFailed
from tokenforge.store.artifacts import RECORD_FILE

_HINT = "Name a folder that `tokenforge bench` wrote"


def read_record_file(path: Path) -> dict[str, object]:
    """The record in a run's folder, or in the file itself.

    Raises NotFound when there is none, StoreFailed when it can't be read or is of another schema.
    """
    file = path / RECORD_FILE if path.is_dir() else path
    if not file.exists():
        message = f"{path} holds no {RECORD_FILE}" if path.is_dir() else f"{path} does not exist"
        raise NotFound(message, hint=_HINT)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise StoreFailed(f"{file} is not JSON: {error}", hint=_HINT) from error
    except OSError as error:
        raise StoreFailed(f"{file} can't be read: {error.strerror}") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(document, dict) or schema != RECORD_SCHEMA:
        raise StoreFailed(f"{file} has schema {schema!r}, this version reads {RECORD_SCHEMA!r}", hint=_HINT)
    return document


def find_records(folder: Path) -> tuple[Path, ...]:
    """The folders of runs in `folder`, by name. Raises NotFound when it isn't there or has none."""
    if not folder.is_dir():
        raise NotFound(f"{folder} is not a folder", hint="Name the folder that your runs are in, for example runs")
    found = tuple(sorted(path.parent for path in folder.glob(f"*/{RECORD_FILE}")))
    if not found:
        raise NotFound(f"{folder} holds no runs (no */{RECORD_FILE})", hint="Name the folder that your runs are in")
    return found
