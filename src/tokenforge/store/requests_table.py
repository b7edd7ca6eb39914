"""Per-request records as Parquet: one row per request, a row group per piece of a trial, never in SQL.

The columns are the run they belong to and then `RequestRecord`'s fields by name and order; stamps are nanoseconds from
the trial's start. The schema carries its version, so an old file is read knowingly. Neither writing nor reading holds
more than a row group at once, because a run may have a million requests with dozens of chunks each.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tokenforge.domain.errors import StoreFailed
from tokenforge.domain.record import RequestRecord
from tokenforge.store.artifacts import write_whole

SCHEMA_VERSION = "tokenforge.requests/2"
_READABLE = ("tokenforge.requests/1", SCHEMA_VERSION)
"""Version 1 lacks the last four columns; they are read as absent."""

RECORD_COLUMNS = pa.schema(
    {
        "trial": pa.int32(),
        "index": pa.int32(),
        "scheduled_ns": pa.int64(),
        "sent_ns": pa.int64(),
        "headers_ns": pa.int64(),
        "first_ns": pa.int64(),
        "end_ns": pa.int64(),
        "chunk_ns": pa.list_(pa.int64()),
        "chunk_tokens": pa.list_(pa.int32()),
        "asked_prompt_tokens": pa.int32(),
        "asked_output_tokens": pa.int32(),
        "prompt_tokens": pa.int32(),
        "cached_tokens": pa.int32(),
        "output_tokens": pa.int32(),
        "counted_tokens": pa.int32(),
        "finish_reason": pa.string(),
        "http_status": pa.int32(),
        "outcome": pa.string(),
        "error": pa.string(),
        "connection": pa.int32(),
        "merged_reads": pa.int32(),
        "server_first_ns": pa.int64(),
        "server_queue_ns": pa.int64(),
        "server_prefill_ns": pa.int64(),
        "gateway_ns": pa.int64(),
    }
)
_OWNERS = ("run_id", "model", "runtime", "workload")

REQUESTS_SCHEMA = pa.schema(
    [*(pa.field(name, pa.string()) for name in _OWNERS), *RECORD_COLUMNS], metadata={"schema": SCHEMA_VERSION}
)
_STAMPS = ("scheduled_ns", "sent_ns", "headers_ns", "first_ns", "end_ns", "chunk_ns.list.element")
_REPEATED = (*_OWNERS, "trial", "chunk_tokens.list.element", "finish_reason", "http_status", "outcome", "error")
_BATCH_ROWS = 1 << 14


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecords:
    """The records of one run: tables with `RECORD_COLUMNS`, each of one trial, and the names that go into every row."""

    run_id: str
    model: str
    runtime: str
    workload: str
    tables: Iterable[pa.Table]


def record_columns(records: Sequence[RequestRecord]) -> pa.Table:
    """Records as one table with `RECORD_COLUMNS`; for small numbers of them."""
    columns = {field.name: [getattr(record, field.name) for record in records] for field in RECORD_COLUMNS}
    return pa.table(columns, schema=RECORD_COLUMNS)


def write_requests(path: Path, runs: Iterable[RunRecords]) -> str:
    """Write Parquet (zstd), whole or not at all. Returns the file's SHA-256. Raises StoreFailed."""
    return write_whole(path, lambda file: write_rows(file, runs))


def write_rows(file: BinaryIO, runs: Iterable[RunRecords]) -> None:
    """Write all rows of all runs in the order given, a row group per table."""
    with pq.ParquetWriter(
        file,
        REQUESTS_SCHEMA,
        compression="zstd",
        use_dictionary=list(_REPEATED),  # type: ignore[arg-type]
        column_encoding=dict.fromkeys(_STAMPS, "DELTA_BINARY_PACKED"),
    ) as writer:
        for run in runs:
            for table in run.tables:
                writer.write_table(_owned(run, table), row_group_size=max(1, len(table)))


class RequestsFile:
    """Reads a file of `write_requests`, one trial at a time.

    Raises StoreFailed when it is missing, broken, or of another schema; also later, where a damaged part is reached.
    """

    def __init__(self, source: Path | BinaryIO) -> None:
        self._name = str(source) if isinstance(source, Path) else "the requests table"
        with self._named_failure():
            self._file = pq.ParquetFile(source)
        version = (self._file.schema_arrow.metadata or {}).get(b"schema", b"").decode()
        if version not in _READABLE:
            raise StoreFailed(f"{self._name} has schema '{version}', this version reads '{SCHEMA_VERSION}'")
        self._missing = set(REQUESTS_SCHEMA.names) - set(self._file.schema_arrow.names)
        with self._named_failure():
            self._groups = self._index()

    def trials(self, run_id: str) -> tuple[int, ...]:
        """The trials that have rows of this run, by number."""
        return tuple(sorted(trial for run, trial in self._groups if run == run_id))

    def batches(self, run_id: str, trial: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """These columns of all rows of a trial, in order, piece by piece."""
        groups = self._groups.get((run_id, trial), {})
        for group, is_shared in groups.items():
            kept = [name for name in columns if name not in self._missing] or ["trial"]
            wanted = [*kept, "run_id", "trial"] if is_shared else kept
            with self._named_failure():
                for batch in self._file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=wanted):
                    rows = _rows_of(batch, run_id, trial) if is_shared else batch
                    yield _with_absent(rows, columns) if self._missing else rows.select(list(columns))

    def _index(self) -> dict[tuple[str, int], dict[int, bool]]:
        """For each run and trial the row groups that hold rows of it, and whether they hold others too."""
        index: dict[tuple[str, int], dict[int, bool]] = {}
        for group in range(self._file.num_row_groups):
            owners = self._file.read_row_group(group, columns=["run_id", "trial"])
            found = owners.group_by(["run_id", "trial"]).aggregate([]).to_pylist()
            for row in found:
                index.setdefault((row["run_id"], row["trial"]), {})[group] = len(found) > 1
        return index

    @contextmanager
    def _named_failure(self) -> Iterator[None]:
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise StoreFailed(f"{self._name} cannot be read as request records: {error}") from error


def _with_absent(rows: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """The columns in their order; one that the file does not have is null throughout."""
    has = set(rows.schema.names)
    arrays = [rows[name] if name in has else pa.nulls(len(rows), RECORD_COLUMNS.field(name).type) for name in columns]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _rows_of(batch: pa.RecordBatch, run_id: str, trial: int) -> pa.RecordBatch:
    is_run = pc.equal(batch["run_id"], pa.scalar(run_id))
    is_trial = pc.equal(batch["trial"], pa.scalar(trial, pa.int32()))
    return batch.filter(pc.and_(is_run, is_trial))


def _owned(run: RunRecords, table: pa.Table) -> pa.Table:
    owners = {name: pa.repeat(getattr(run, name), len(table)) for name in _OWNERS}
    return pa.table({**owners, **dict(zip(table.column_names, table.columns, strict=True))}, schema=REQUESTS_SCHEMA)
