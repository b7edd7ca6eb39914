"""Words on the terminal: JSON or tables, always on standard output; progress and errors go to standard error."""

import json
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from tokenforge.domain.canonical import to_plain

_LOG_WIDTH = 120


def wide_console() -> Console:
    """A terminal's own width; for a pipe or a log, room for every column."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_LOG_WIDTH)


def print_json(value: object) -> None:
    """One JSON document, indented, UTF-8."""
    sys.stdout.write(json.dumps(to_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None) -> None:
    """A table: the first column to the left, the others to the right."""
    table = Table(title=title, title_justify="left", header_style="bold", pad_edge=False, box=None)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=number == 0)
    for row in rows:
        table.add_row(*row)
    wide_console().print(table)


def size_text(size_bytes: float) -> str:
    """A size for people: 1536 -> 1.5 KiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size_bytes) < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"
