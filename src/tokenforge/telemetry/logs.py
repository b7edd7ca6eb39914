"""Logs of a process: for people, or one JSON object a line; the fields of a line are those of the catalogue.

A secret is never among them, and no prompt unless it is asked for. Whoever logs a request uses `log_request`.
"""

import io
import json
import logging
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import IO, TextIO, cast

from tokenforge.domain.observing import LogForm
from tokenforge.telemetry.catalogue.log_fields import LOG_FIELDS

_KNOWN = frozenset(field.name for field in LOG_FIELDS)
_FIELDS = "fields"

_MOST_CHARS = 256
_ERROR = "error:"
_LONGEST = 1 << 16
_words = logging.getLogger("tokenforge.words")

Value = str | int | float | None


def set_up_logs(stream: "IO[str] | LoggedLines", *, process: str, form: LogForm) -> None:
    """Everything that this process logs goes there, in that form; past a `LoggedLines`, to what it stands before."""
    handler = logging.StreamHandler(stream.stream if isinstance(stream, LoggedLines) else stream)
    handler.setFormatter(JsonLines(process) if form is LogForm.JSON else PlainLines(process))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def set_up_command_logs(stream: TextIO, form: LogForm) -> TextIO:
    """For a command that people start; returns what stands for standard error from here on.

    For people, its own words stay as they are and warnings join them. As JSON, each line is an object, its own
    words too: what is happening as `info`, what begins with `error:` as `error`.
    """
    set_up_logs(stream, process="command", form=form)
    if form is LogForm.PRETTY:
        logging.getLogger().setLevel(logging.WARNING)
        return stream
    sys.excepthook = _log_exception
    return cast("TextIO", LoggedLines(stream))


class LoggedLines(io.TextIOBase):
    """Text that logs what is written to it, up to each line break that ends a writing. Not a terminal."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self._rest = ""

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """That of the stream behind it, for child processes."""
        return self.stream.fileno()

    def write(self, text: str) -> int:
        """Log it if it ends in a line break; what does not waits for its end, up to a bound."""
        self._rest += text
        if text.endswith("\n") or len(self._rest) > _LONGEST:
            self._end()
        return len(text)

    def close(self) -> None:
        """Log what has no line break yet. The stream behind stays open."""
        if not self.closed:
            self._end()
        super().close()

    def _end(self) -> None:
        text, self._rest = self._rest.strip(), ""
        if text:
            is_error = text.startswith(_ERROR)
            _words.log(logging.ERROR if is_error else logging.INFO, "%s", text.removeprefix(_ERROR).strip())


def _log_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _words.critical("unexpected", exc_info=(kind, error, trace))


def log_request(logger: logging.Logger, fields: Mapping[str, Value]) -> None:
    """One request is over. Raises ValueError for a field that the catalogue does not have."""
    if unknown := fields.keys() - _KNOWN:
        raise ValueError(f"no such log fields: {', '.join(sorted(unknown))}")
    logger.info("request", extra={_FIELDS: fields})


def _fields_of(record: logging.LogRecord) -> Mapping[str, Value]:
    fields: Mapping[str, Value] = getattr(record, _FIELDS, {})
    return {name: _bounded(name, value) for name, value in fields.items() if value is not None}


def _bounded(name: str, value: Value) -> Value:
    """What a caller sent is cut, so that no request makes a line long; the prompt, where it is asked for, is not."""
    if not isinstance(value, str) or len(value) <= _MOST_CHARS or name == "prompt":
        return value
    return f"{value[:_MOST_CHARS]}... ({len(value)} characters)"


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
    if not text.isprintable():  # what would move the cursor or turn the line around is written out
        return json.dumps(text)
    return json.dumps(text, ensure_ascii=False) if any(char.isspace() or char in '"=' for char in text) else text
