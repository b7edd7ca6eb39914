"""Recorded loads: read a trace in its format, fit its lengths into a model's window, keep its arrival times.

Lengths that do not fit are scaled by one factor for all rows, so that long stays long and short stays short; the factor
is told and goes into the record. Requests that failed when they were recorded are left out, and counted.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path

from tokenforge.bench.loaders import TRACES, find_loader, load_rows
from tokenforge.bench.trace_formats import MOST_TOKENS, TRACE_LOADERS
from tokenforge.domain.errors import Fault, InvalidInput, NotFound
from tokenforge.domain.recorded import BLOCK_TOKENS, TraceRow
from tokenforge.domain.workload import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTrace:
    """Rows by time, counted from the first one. `notes` say what was left out."""

    rows: tuple[TraceRow, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedTrace:
    """Rows that fit. `scale` is 1.0 when nothing was changed; `block_tokens` is a prompt block's scaled size.

    It is seldom a whole number of tokens.
    """

    rows: tuple[TraceRow, ...]
    scale: float
    block_tokens: float
    notes: tuple[str, ...]


def read_trace(trace: Trace, *, points: Iterable[EntryPoint] | None = None) -> RecordedTrace:
    """The rows up to `limit`, times divided by `speed` and counted from the first. Raises NotFound or InvalidInput."""
    path = Path(trace.path)
    loader = find_loader(TRACES, trace.format, TRACE_LOADERS, field="trace.format", points=points)
    if not path.is_file():
        raise NotFound(f"The trace {path} does not exist", hint="Set trace.path, or give --trace PATH")
    rows, failed = _kept(load_rows(loader, path, kind=TraceRow, field="trace.path"), trace.limit, path=path)
    if not rows:
        raise InvalidInput([Fault(field="trace.path", value=str(path), message="holds no request")])
    first = min(row.at_ns for row in rows)
    paced = [replace(row, at_ns=round((row.at_ns - first) / trace.speed)) for row in rows]
    note = f"{failed:,} requests of the trace failed when they were recorded (no output tokens): they are not sent"
    return RecordedTrace(rows=tuple(sorted(paced, key=lambda row: row.at_ns)), notes=(note,) if failed else ())


def fit_trace(rows: tuple[TraceRow, ...], *, window: int | None) -> FittedTrace:
    """Scale all lengths by one factor so that the longest request fits `window` tokens (None: leave as they are)."""
    longest = max(row.prompt_tokens + row.output_tokens for row in rows)
    if window is None or longest <= window:
        return FittedTrace(rows=rows, scale=1.0, block_tokens=BLOCK_TOKENS, notes=())
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
    return FittedTrace(rows=fitted, scale=scale, block_tokens=BLOCK_TOKENS * scale, notes=(note,))


def _kept(rows: Iterable[TraceRow], limit: int | None, *, path: Path) -> tuple[list[TraceRow], int]:
    """The first `limit` rows that did not fail, and how many failed on the way to them."""
    kept: list[TraceRow] = []
    failed = 0
    for number, row in enumerate(rows, start=1):
        if not (0 < row.prompt_tokens <= MOST_TOKENS and 0 <= row.output_tokens <= MOST_TOKENS):
            message = f"request {number} has {row.prompt_tokens} prompt and {row.output_tokens} output tokens"
            hint = f"1 and 0 to {MOST_TOKENS:,} are possible"
            raise InvalidInput([Fault(field="trace.path", value=str(path), message=message, hint=hint)])
        if row.output_tokens == 0:
            failed += 1
            continue
        kept.append(row)
        if len(kept) == limit:
            break
    return kept, failed
