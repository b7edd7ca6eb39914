"""What is packed: the record's own requests and the page as it is, or nothing."""

import hashlib
import json
from pathlib import Path

import pytest

from tokenforge.bench.exporting import export_run
from tokenforge.domain.benchmark_record import RECORD_SCHEMA
from tokenforge.domain.errors import NotFound, StoreFailed
from tokenforge.store.bundle import unpack_bundle

REQUESTS = b"PAR1 as far as a bundle cares"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with the three files that an export reads."""
    folder = tmp_path / "run"
    folder.mkdir()
    sums = {"requests_sha256": hashlib.sha256(REQUESTS).hexdigest()}
    record = {"schema": RECORD_SCHEMA, "id": "r", "created_at": "t", "benchmark": {"trials": 5}, **sums}
    (folder / "record.json").write_text(json.dumps(record))
    (folder / "requests.parquet").write_bytes(REQUESTS)
    (folder / "report.html").write_text("<html>")
    return folder


def test_a_bundle_holds_the_spec_by_itself_and_the_pages_checksum(run: Path, tmp_path: Path) -> None:
    export_run(run, tmp_path / "b.tgz")
    manifest = unpack_bundle(tmp_path / "b.tgz", tmp_path)
    assert (tmp_path / "spec.json").read_text() == '{"trials":5}\n'
    assert manifest.report_sha256 == hashlib.sha256(b"<html>").hexdigest()
    assert manifest.tool["name"] == "tokenforge"


def test_an_export_changes_nothing_in_the_run(run: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    export_run(run, tmp_path / "b.tgz")
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_requests_of_another_run_are_not_packed(run: Path, tmp_path: Path) -> None:
    (run / "requests.parquet").write_bytes(b"others")
    with pytest.raises(StoreFailed, match="is not the file that the record was made with"):
        export_run(run, tmp_path / "b.tgz")
    assert not (tmp_path / "b.tgz").exists()


@pytest.mark.parametrize("name", ["record.json", "requests.parquet", "report.html"])
def test_a_file_that_is_missing_is_named(run: Path, tmp_path: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(NotFound, match=name.replace(".", r"\.")):
        export_run(run, tmp_path / "b.tgz")


def test_a_place_that_cannot_be_written_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match=r"b\.tgz could not be written"):
        export_run(run, tmp_path / "nowhere" / "b.tgz")
