"""A run's folder as one file that somebody else can check: `tokenforge export`."""

import hashlib
from pathlib import Path

from tokenforge.bench.environment import read_tool
from tokenforge.domain.canonical import canonical_bytes
from tokenforge.domain.errors import StoreFailed
from tokenforge.store.artifacts import RECORD_FILE, REPORT_FILE, REQUESTS_FILE
from tokenforge.store.bundle import SPEC_FILE, Manifest, file_sha256, write_bundle
from tokenforge.store.record_file import read_record_file


def export_run(folder: Path, out: Path) -> str:
    """Write the bundle of a run. Returns its SHA-256.

    Raises NotFound when the folder or a file of it is missing, StoreFailed when the requests are not those of the
    record, or the bundle can't be written.
    """
    record = read_record_file(folder)
    requests = file_sha256(folder / REQUESTS_FILE)
    if requests != record.get("requests_sha256"):
        message = f"{folder / REQUESTS_FILE} is not the file that the record was made with"
        raise StoreFailed(message, hint="Its checksum differs; a bundle of the two would prove nothing")
    spec = canonical_bytes(record.get("benchmark")) + b"\n"
    manifest = Manifest(
        tool=read_tool(),
        record_id=str(record.get("id")),
        created_at=str(record.get("created_at")),
        files={
            SPEC_FILE: hashlib.sha256(spec).hexdigest(),
            RECORD_FILE: file_sha256(folder / RECORD_FILE),
            REQUESTS_FILE: requests,
        },
        report_sha256=file_sha256(folder / REPORT_FILE),
    )
    contents: dict[str, Path | bytes] = {
        SPEC_FILE: spec,
        RECORD_FILE: folder / RECORD_FILE,
        REQUESTS_FILE: folder / REQUESTS_FILE,
    }
    return write_bundle(out, contents, manifest)
