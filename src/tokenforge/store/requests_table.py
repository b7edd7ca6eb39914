"""Per-request records as a table: one row per request, in Parquet, never in SQL.

The columns are the run they belong to and then `RequestRecord`'s fields by name and order; stamps are nanoseconds from
the trial's start. The schema carries its version, so an old file is read knowingly.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tokenforge.domain.errors import StoreFailed
from tokenforge.domain.record import RequestRecord
from tokenforge.store.artifacts import write_whole

SCHEMA_VERSION = "tokenforge.requests/1"

_RECORD_TYPES: dict[str, pa.DataType] = {
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
}
_OWNER_TYPES: dict[str, pa.DataType] = {name: pa.string() for name in ("run_id", "model", "runtime", "workload")}

REQUESTS_SCHEMA = pa.schema(
    [pa.field(name, kind) for name, kind in {**_OWNER_TYPES, **_RECORD_TYPES}.items()],
    metadata={"schema": SCHEMA_VERSION},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecords:
    """The records of one run, with the names that go into every row."""

    run_id: str
    model: str
    runtime: str
    workload: str
    records: Sequence[RequestRecord]


def requests_table(runs: Iterable[RunRecords]) -> pa.Table:
    """One table over all runs, in the order given."""
    tables = [_run_table(run) for run in runs]
    return pa.concat_tables(tables) if tables else REQUESTS_SCHEMA.empty_table()


def write_requests(path: Path, table: pa.Table) -> str:
    """Write Parquet (zstd), whole or not at all. Returns the file's SHA-256. Raises StoreFailed."""
    return write_whole(path, lambda file: pq.write_table(table, file, compression="zstd"))


def read_requests(path: Path) -> pa.Table:
    """Read a file of `write_requests`. Raises StoreFailed when it is missing, broken, or of another schema."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise StoreFailed(f"{path} cannot be read as request records: {error}") from error
    version = (table.schema.metadata or {}).get(b"schema", b"").decode()
    if version != SCHEMA_VERSION:
        raise StoreFailed(f"{path} has schema '{version}', this version reads '{SCHEMA_VERSION}'")
    return table


def _run_table(run: RunRecords) -> pa.Table:
    count = len(run.records)
    owners = {name: pa.array([getattr(run, name)] * count, kind) for name, kind in _OWNER_TYPES.items()}
    columns = {
        field.name: pa.array([getattr(record, field.name) for record in run.records], _RECORD_TYPES[field.name])
        for field in fields(RequestRecord)
    }
    return pa.table({**owners, **columns}, schema=REQUESTS_SCHEMA)
