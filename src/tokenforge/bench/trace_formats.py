"""Published trace layouts, row by row: Azure's and BurstGPT's CSV, Mooncake's JSON lines.

A row that can't be read is refused, naming the line: a trace with holes would be another load.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.recorded import TraceRow
from tokenforge.domain.workload import TraceFormat

MOST_TOKENS = 100_000_000
_AZURE_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_BURSTGPT_COLUMNS = ("Timestamp", "Request tokens", "Response tokens")
_BAD_CELL = (ValueError, TypeError, ArithmeticError)


def azure_rows(path: Path) -> Iterator[TraceRow]:
    """Azure's LLM inference traces of 2023 and 2024."""
    for number, line in _csv_rows(path, name="an Azure trace", columns=_AZURE_COLUMNS):
        try:
            yield TraceRow(
                at_ns=_azure_ns(line["TIMESTAMP"]),
                prompt_tokens=_tokens(line["ContextTokens"]),
                output_tokens=_tokens(line["GeneratedTokens"]),
            )
        except _BAD_CELL as error:
            raise _bad_row(path, number, error) from None


def burstgpt_rows(path: Path) -> Iterator[TraceRow]:
    """BurstGPT's traces. Times are seconds; a request of no response tokens failed there, and is yielded as such."""
    for number, line in _csv_rows(path, name="a BurstGPT trace", columns=_BURSTGPT_COLUMNS):
        try:
            yield TraceRow(
                at_ns=int(Decimal(line["Timestamp"]) * 1_000_000_000),
                prompt_tokens=_tokens(line["Request tokens"]),
                output_tokens=_tokens(line["Response tokens"], least=0),
            )
        except _BAD_CELL as error:
            raise _bad_row(path, number, error) from None


def mooncake_rows(path: Path) -> Iterator[TraceRow]:
    """Mooncake's traces: one JSON object a line, times in ms, ids of prompt blocks."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    yield _mooncake_row(json.loads(line))
                except (*_BAD_CELL, KeyError, AttributeError, RecursionError) as error:
                    raise _bad_row(path, number, error) from None


TRACE_LOADERS: Mapping[str, Callable[[Path], Iterator[TraceRow]]] = {
    TraceFormat.AZURE: azure_rows,
    TraceFormat.MOONCAKE: mooncake_rows,
    TraceFormat.BURSTGPT: burstgpt_rows,
}


def _csv_rows(path: Path, *, name: str, columns: tuple[str, ...]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Rows with the number of their last line; a file without the columns is refused."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in columns if column not in (reader.fieldnames or ())]
        if missing:
            hint = f"{name} has the columns {', '.join(columns)}"
            raise InvalidInput([Fault(field="trace.path", value=str(path), message=f"lacks {missing}", hint=hint)])
        for line in reader:
            yield reader.line_num, line


def _azure_ns(text: str) -> int:
    """`2023-11-16 18:15:46.6805900` or `2024-05-10 00:00:00.009930+00:00`, any number of digits, to ns."""
    whole, _, fraction = text.strip().removesuffix("+00:00").partition(".")
    seconds = int((datetime.fromisoformat(whole) - datetime(1970, 1, 1)).total_seconds())
    return seconds * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or 0)


def _mooncake_row(row: Mapping[str, object]) -> TraceRow:
    blocks = row.get("hash_ids", [])
    return TraceRow(
        at_ns=round(float(str(row["timestamp"])) * 1e6),
        prompt_tokens=_tokens(row["input_length"]),
        output_tokens=_tokens(row["output_length"]),
        blocks=tuple(int(block) for block in blocks) if isinstance(blocks, list) else (),
    )


def _tokens(value: object, *, least: int = 1) -> int:
    count = int(str(value))
    if not 0 <= count <= MOST_TOKENS:
        raise ValueError(f"{count} tokens in a request, 0 to {MOST_TOKENS:,} are possible")
    return max(least, count)


def _bad_row(path: Path, line: int, error: Exception) -> InvalidInput:
    cause = f"missing {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
    return InvalidInput([Fault(field=f"trace.path line {line}", value=str(path), message=f"cannot be read: {cause}")])
