"""Logs of a process: for people, or one JSON object a line; the fields of a line are those of the catalogue.

A secret is never among them, and no prompt unless it is asked for. Whoever logs a request uses `log_request`.
"""

import json
import logging
import time
from collections.abc import Mapping
from typing import IO

from tokenforge.domain.observing import LogForm
from tokenforge.telemetry.catalogue.log_fields import LOG_FIELDS

_KNOWN = frozenset(field.name for field in LOG_FIELDS)
_FIELDS = "fields"

Value = str | int | float | None


def set_up_logs(stream: IO[str], *, process: str, form: LogForm) -> None:
    """Everything that this process logs goes there, in that form."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(process) if form is LogForm.JSON else PlainLines(process))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def log_request(logger: logging.Logger, fields: Mapping[str, Value]) -> None:
    """One request is over. Raises ValueError for a field that the catalogue does not have."""
    if unknown := fields.keys() - _KNOWN:
        raise ValueError(f"no such log fields: {', '.join(sorted(unknown))}")
    logger.info("request", extra={_FIELDS: fields})


def _fields_of(record: logging.LogRecord) -> Mapping[str, Value]:
    fields: Mapping[str, Value] = getattr(record, _FIELDS, {})
    return {name: value for name, value in fields.items() if value is not None}


def _time_of(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


class PlainLines(logging.Formatter):
    """`TIME PROCESS LEVEL LOGGER MESSAGE NAME=VALUE ...`"""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = "".join(f" {name}={_plain(value)}" for name, value in _fields_of(record).items())
        head = f"{_time_of(record)} {self._process} {record.levelname} {record.name}"
        line = f"{head} {record.getMessage()}{fields}"
        return line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"


class JsonLines(logging.Formatter):
    """One JSON object; line breaks in a message or an error are within it."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        content: dict[str, Value] = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields_of(record),
        }
        if record.exc_info is not None:
            content["error"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False)


def _plain(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(char.isspace() or char in '"=' for char in text) else text
