"""A run in one file: record, requests, spec and checksums in a tar, compressed. The same run gives the same bytes.

A bundle comes from somebody else, so it is read with care: it may hold the four files that belong in it and nothing
else, each once, each a plain file; a name with a path in it, a link or a device is refused before anything is written.
Checksums find damage, not forgery: a bundle is not signed.
"""

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, BinaryIO

from tokenforge.domain.canonical import to_plain
from tokenforge.domain.errors import NotFound, StoreFailed
from tokenforge.store.artifacts import RECORD_FILE, REQUESTS_FILE, write_whole

BUNDLE_SCHEMA = "tokenforge.bundle/1"
MANIFEST_FILE = "manifest.json"
SPEC_FILE = "spec.json"

_CONTENT = (SPEC_FILE, RECORD_FILE, REQUESTS_FILE)
_MOST_MANIFEST_BYTES = 1 << 20
_MOST_BYTES = 1 << 34
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle says of itself: `tool` made it, `files` has the SHA-256 of each, `report_sha256` the page's."""

    schema: str = BUNDLE_SCHEMA
    tool: Mapping[str, str]
    record_id: str
    created_at: str
    files: Mapping[str, str]
    report_sha256: str


def write_bundle(path: Path, contents: Mapping[str, Path | bytes], manifest: Manifest) -> str:
    """Write spec, record and requests with their manifest. Returns the SHA-256. Raises StoreFailed."""
    head = json.dumps(to_plain(manifest), indent=1, sort_keys=True).encode() + b"\n"

    def write(file: BinaryIO) -> None:
        with (
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            _add(tar, MANIFEST_FILE, head)
            for name in _CONTENT:
                _add(tar, name, contents[name])

    return write_whole(path, write)


def unpack_bundle(path: Path, folder: Path) -> Manifest:
    """Check a bundle and write its files into `folder`, which must exist.

    Raises NotFound when there is no such file, StoreFailed for one that is damaged, cut short, or not a bundle.
    """
    if not path.is_file():
        raise NotFound(f"{path} is not a file", hint="Name a bundle that `tokenforge export` wrote")
    with _named_failure(path), gzip.open(path, "rb") as packed:
        found = _unpack(path, packed, folder)
        while packed.read(_PIECE_BYTES):
            pass  # to the end, where the stream's own checksum stands
    missing = [name for name in (MANIFEST_FILE, *_CONTENT) if name not in found]
    if missing:
        raise _refused(path, f"lacks {', '.join(missing)}")
    manifest = _read_manifest(path, folder / MANIFEST_FILE)
    for name in _CONTENT:
        if manifest.files.get(name) != found[name]:
            said = str(manifest.files.get(name))[:12]
            raise _refused(
                path, f"is damaged: {name} has the SHA-256 {found[name][:12]}..., its manifest says {said}..."
            )
    return manifest


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file. Raises NotFound when it is not there."""
    if not path.is_file():
        raise NotFound(f"{path} is not there", hint="`tokenforge report FOLDER` makes the pages of a run again")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add(tar: tarfile.TarFile, name: str, content: Path | bytes) -> None:
    """A member without owner, time or rights of its own."""
    entry = tarfile.TarInfo(name)
    if isinstance(content, bytes):
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
        return
    entry.size = content.stat().st_size
    with content.open("rb") as file:
        tar.addfile(entry, file)


def _unpack(path: Path, packed: gzip.GzipFile, folder: Path) -> dict[str, str]:
    """Write the members that belong; returns the SHA-256 of each."""
    found: dict[str, str] = {}
    with tarfile.open(fileobj=packed, mode="r:") as tar:
        for member in tar:
            if member.name not in {MANIFEST_FILE, *_CONTENT}:
                raise _refused(path, f"holds {member.name[:80]!r}, which does not belong in a bundle")
            if not member.isreg() or member.name in found:
                raise _refused(path, f"holds {member.name!r} as a link, a folder, or twice")
            if member.size > (_MOST_MANIFEST_BYTES if member.name == MANIFEST_FILE else _MOST_BYTES):
                raise _refused(path, f"holds {member.name!r} with {member.size:,} bytes, which is too large")
            source = tar.extractfile(member)
            assert source is not None
            with (folder / member.name).open("wb") as file:
                found[member.name] = _copy(source, file)
    return found


def _copy(source: IO[bytes], file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := source.read(_PIECE_BYTES):
        digest.update(piece)
        file.write(piece)
    return digest.hexdigest()


def _read_manifest(path: Path, file: Path) -> Manifest:
    try:
        value = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"has a manifest that is not JSON: {error}") from error
    schema = value.get("schema") if isinstance(value, dict) else None
    if schema != BUNDLE_SCHEMA:
        raise _refused(path, f"has schema {schema!r}, this version reads {BUNDLE_SCHEMA!r}")
    texts = all(isinstance(value.get(name), str) for name in ("record_id", "created_at", "report_sha256"))
    if not texts or not isinstance(value.get("files"), dict) or not isinstance(value.get("tool"), dict):
        raise _refused(path, "has a manifest that is not whole")
    return Manifest(**{field.name: value[field.name] for field in fields(Manifest)})


@contextmanager
def _named_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _refused(path, f"is cut short or no bundle: {error}") from error
    except OSError as error:
        raise StoreFailed(f"{path} can't be unpacked: {error.strerror or error}") from error


def _refused(path: Path, why: str) -> StoreFailed:
    return StoreFailed(f"{path} {why}", hint="Ask for the bundle again, or make it anew with `tokenforge export`")
