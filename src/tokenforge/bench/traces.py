"""Recorded loads: read a published trace, fit its lengths into a model's window, keep its arrival times.

Lengths that do not fit are scaled by one factor for all rows, so that long stays long and short stays short; the factor
is told and goes into the record. Refuses a file with a row it cannot read, naming the line.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from tokenforge.domain.errors import Fault, InvalidInput, NotFound
from tokenforge.domain.workload import Trace, TraceFormat

MOONCAKE_BLOCK_TOKENS = 512
_MOST_TOKENS = 100_000_000
_AZURE_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRow:
    """One recorded request: ns after the first, tokens in and out, and ids of its prompt's blocks where known."""

    at_ns: int
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedTrace:
    """Rows that fit. `scale` is 1.0 when nothing was changed; `block_tokens` is a prompt block's scaled size.

    It is seldom a whole number of tokens.
    """

    rows: tuple[TraceRow, ...]
    scale: float
    block_tokens: float
    notes: tuple[str, ...]


def read_trace(trace: Trace) -> tuple[TraceRow, ...]:
    """The rows up to `limit`, times divided by `speed` and counted from the first. Raises NotFound or InvalidInput."""
    path = Path(trace.path)
    if not path.is_file():
        raise NotFound(f"The trace {path} does not exist", hint="Set trace.path, or give --trace PATH")
    reader = _azure_rows if trace.format is TraceFormat.AZURE else _mooncake_rows
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = list(islice(reader(file, path), trace.limit))
    if not rows:
        raise InvalidInput([Fault(field="trace.path", value=str(path), message="holds no request")])
    first = min(row.at_ns for row in rows)
    paced = [
        TraceRow(
            at_ns=round((row.at_ns - first) / trace.speed), prompt_tokens=row.prompt_tokens,
            output_tokens=row.output_tokens, blocks=row.blocks,
        )
        for row in rows
    ]  # fmt: skip
    return tuple(sorted(paced, key=lambda row: row.at_ns))


def fit_trace(rows: tuple[TraceRow, ...], *, window: int | None) -> FittedTrace:
    """Scale all lengths by one factor so that the longest request fits `window` tokens (None: leave as they are)."""
    longest = max(row.prompt_tokens + row.output_tokens for row in rows)
    if window is None or longest <= window:
        return FittedTrace(rows=rows, scale=1.0, block_tokens=MOONCAKE_BLOCK_TOKENS, notes=())
    scale = window / longest
    fitted = tuple(
        TraceRow(
            at_ns=row.at_ns,
            prompt_tokens=max(1, int(row.prompt_tokens * scale)),
            output_tokens=max(1, int(row.output_tokens * scale)),
            blocks=row.blocks,
        )
        for row in rows
    )
    note = (
        f"trace lengths scaled by {scale:.4g} to fit the window of {window:,} tokens "
        f"(the longest request was {longest:,} tokens); arrival times are unchanged"
    )
    return FittedTrace(rows=fitted, scale=scale, block_tokens=MOONCAKE_BLOCK_TOKENS * scale, notes=(note,))


def _azure_rows(file: Iterator[str], path: Path) -> Iterator[TraceRow]:
    reader = csv.DictReader(file)
    missing = [name for name in _AZURE_COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        hint = f"an Azure trace has the columns {', '.join(_AZURE_COLUMNS)}"
        raise InvalidInput([Fault(field="trace.path", value=str(path), message=f"lacks {missing}", hint=hint)])
    for line in reader:
        try:
            yield TraceRow(
                at_ns=_azure_ns(line["TIMESTAMP"]),
                prompt_tokens=_tokens(line["ContextTokens"]),
                output_tokens=_tokens(line["GeneratedTokens"]),
            )
        except (ValueError, TypeError, OverflowError) as error:
            raise _bad_row(path, reader.line_num, error) from None


def _azure_ns(text: str) -> int:
    """`2023-11-16 18:15:46.6805900` or `2024-05-10 00:00:00.009930+00:00`, any number of digits, to ns."""
    whole, _, fraction = text.strip().removesuffix("+00:00").partition(".")
    seconds = int((datetime.fromisoformat(whole) - datetime(1970, 1, 1)).total_seconds())
    return seconds * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or 0)


def _mooncake_rows(file: Iterator[str], path: Path) -> Iterator[TraceRow]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            row: Mapping[str, object] = json.loads(line)
            blocks = row.get("hash_ids", [])
            yield TraceRow(
                at_ns=round(float(str(row["timestamp"])) * 1e6),
                prompt_tokens=_tokens(row["input_length"]),
                output_tokens=_tokens(row["output_length"]),
                blocks=tuple(int(block) for block in blocks) if isinstance(blocks, list) else (),
            )
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise _bad_row(path, number, error) from None


def _tokens(value: object) -> int:
    count = int(str(value))
    if not 0 <= count <= _MOST_TOKENS:
        raise ValueError(f"{count} tokens in a request, 0 to {_MOST_TOKENS:,} are possible")
    return max(1, count)


def _bad_row(path: Path, line: int, error: Exception) -> InvalidInput:
    cause = f"missing {error}" if isinstance(error, KeyError) else str(error)
    return InvalidInput([Fault(field=f"trace.path line {line}", value=str(path), message=f"cannot be read: {cause}")])
