"""The run folder, the requests table and the run database."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenforge.domain.errors import InvalidInput, StoreFailed
from tokenforge.domain.record import Outcome, RequestRecord
from tokenforge.store.artifacts import RECORD_FILE, open_run_folder, write_text, write_whole
from tokenforge.store.requests_table import (
    REQUESTS_SCHEMA,
    RequestsFile,
    RunRecords,
    record_columns,
    write_requests,
)


def a_record(index: int = 0) -> RequestRecord:
    return RequestRecord(
        trial=0, index=index, scheduled_ns=10, sent_ns=12, headers_ns=20, first_ns=30, end_ns=50,
        chunk_ns=(30, 40), chunk_tokens=(1, 2), asked_prompt_tokens=4, asked_output_tokens=3, prompt_tokens=4,
        cached_tokens=None, output_tokens=3, counted_tokens=3, finish_reason="length", http_status=200,
        outcome=Outcome.OK, error=None, connection=1, merged_reads=0,
    )  # fmt: skip


def a_run(count: int) -> RunRecords:
    table = record_columns([a_record(i) for i in range(count)])
    return RunRecords(run_id="r1", model="m", runtime="sim", workload="w", tables=[table])


def test_records_come_back_from_parquet_as_they_went_in(tmp_path: Path) -> None:
    write_requests(tmp_path / "r.parquet", [a_run(3)])
    row = pq.read_table(tmp_path / "r.parquet").to_pylist()[2]
    assert (row["index"], row["chunk_ns"], row["cached_tokens"], row["outcome"]) == (2, [30, 40], None, "ok")


def test_no_runs_make_an_empty_file_with_every_column(tmp_path: Path) -> None:
    write_requests(tmp_path / "r.parquet", [])
    assert pq.read_table(tmp_path / "r.parquet").schema.names == REQUESTS_SCHEMA.names
    assert RequestsFile(tmp_path / "r.parquet").trials("r1") == ()


def test_a_file_of_another_schema_is_refused(tmp_path: Path) -> None:
    table = REQUESTS_SCHEMA.empty_table().replace_schema_metadata({"schema": "tokenforge.requests/99"})
    pq.write_table(table, tmp_path / "r.parquet")
    with pytest.raises(StoreFailed, match="requests/99"):
        RequestsFile(tmp_path / "r.parquet")


def test_a_file_of_version_1_is_read_and_what_it_lacks_is_absent(tmp_path: Path) -> None:
    write_requests(tmp_path / "r.parquet", [a_run(3)])
    old = pq.read_table(tmp_path / "r.parquet").drop_columns(["server_first_ns", "gateway_ns"])
    pq.write_table(old.replace_schema_metadata({"schema": "tokenforge.requests/1"}), tmp_path / "old.parquet")
    (batch,) = RequestsFile(tmp_path / "old.parquet").batches("r1", 0, ["gateway_ns", "index"])
    assert batch.to_pydict() == {"gateway_ns": [None] * 3, "index": [0, 1, 2]}
    (alone,) = RequestsFile(tmp_path / "old.parquet").batches("r1", 0, ["server_first_ns"])
    assert alone.to_pydict() == {"server_first_ns": [None] * 3}


def test_rows_are_read_by_run_and_trial_also_where_a_row_group_holds_many(tmp_path: Path) -> None:
    runs = [replace(a_run(2), run_id="r1"), replace(a_run(3), run_id="r2")]
    write_requests(tmp_path / "r.parquet", runs)
    pq.write_table(pq.read_table(tmp_path / "r.parquet"), tmp_path / "one-group.parquet")
    for name in ("r.parquet", "one-group.parquet"):
        file = RequestsFile(tmp_path / name)
        (batch,) = file.batches("r2", 0, ["index"])
        assert (file.trials("r2"), file.trials("r3"), batch.to_pydict()) == ((0,), (), {"index": [0, 1, 2]})


def test_a_full_disk_half_way_leaves_no_file(tmp_path: Path) -> None:
    def tables() -> Iterator[pa.Table]:
        yield from a_run(3).tables
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreFailed, match="No space left"):
        write_requests(tmp_path / "r.parquet", [replace(a_run(0), tables=tables())])
    assert list(tmp_path.iterdir()) == []


def test_damage_that_is_found_late_is_named(tmp_path: Path) -> None:
    write_requests(tmp_path / "r.parquet", [a_run(3)])
    whole = (tmp_path / "r.parquet").read_bytes()
    file = RequestsFile(io.BytesIO(whole))
    broken = io.BytesIO(whole[:4] + bytes(len(whole) // 2) + whole[4 + len(whole) // 2 :])
    with pytest.raises(StoreFailed, match="cannot be read as request records"):
        list(RequestsFile(broken).batches("r1", 0, ["chunk_ns"]))
    assert file.trials("r1") == (0,)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(StoreFailed, match=r"r\.parquet"):
        RequestsFile(tmp_path / "r.parquet")


def test_a_failed_write_leaves_neither_the_name_nor_the_partial_file(tmp_path: Path) -> None:
    def fill_the_disk(_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreFailed, match="No space left"):
        write_whole(tmp_path / "x", fill_the_disk)
    assert list(tmp_path.iterdir()) == []


def test_the_checksum_is_of_the_bytes_written(tmp_path: Path) -> None:
    assert write_text(tmp_path / "a", "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_folder_with_a_record_is_not_used_again(tmp_path: Path) -> None:
    (tmp_path / RECORD_FILE).write_text("{}")
    with pytest.raises(InvalidInput, match="already holds a run"):
        open_run_folder(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed, match="file"):
        open_run_folder(tmp_path / "file" / "run")
