"""A bundle: the same bytes each time, whole when it comes back, refused when anything about it is odd."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tokenforge.domain.errors import NotFound, StoreFailed
from tokenforge.store.bundle import MANIFEST_FILE, SPEC_FILE, Manifest, unpack_bundle, write_bundle

FILES = {SPEC_FILE: b"{}\n", "record.json": b'{"id": 1}', "requests.parquet": bytes(range(256)) * 400}
Member = tuple[tarfile.TarInfo, bytes]


def a_manifest(**files: str) -> Manifest:
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    return Manifest(
        tool={"version": "0.1.0"}, record_id="r", created_at="t", files={**sums, **files}, report_sha256="ab"
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "b.tgz", FILES, a_manifest())
    return tmp_path / "b.tgz"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def members(bundle: Path) -> list[Member]:
    with tarfile.open(bundle) as tar:
        return [(entry, (tar.extractfile(entry) or io.BytesIO()).read()) for entry in tar]


def rewrite(bundle: Path, content: Sequence[Member]) -> None:
    with tarfile.open(bundle, "w:gz") as tar:
        for entry, data in content:
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def test_what_was_packed_comes_back(bundle: Path, folder: Path) -> None:
    assert unpack_bundle(bundle, folder) == a_manifest()
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES


def test_the_same_content_gives_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere.tgz"
    write_bundle(again, FILES, a_manifest())
    assert again.read_bytes() == bundle.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.999])
def test_a_bundle_that_was_cut_short_is_refused(bundle: Path, folder: Path, share: float) -> None:
    whole = bundle.read_bytes()
    bundle.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(StoreFailed, match=r"b\.tgz (is cut short|lacks)"):
        unpack_bundle(bundle, folder)


def test_a_flipped_bit_is_found(bundle: Path, folder: Path) -> None:
    data = bytearray(bundle.read_bytes())
    data[len(data) // 2] ^= 1
    bundle.write_bytes(data)
    with pytest.raises(StoreFailed, match=r"b\.tgz"):
        unpack_bundle(bundle, folder)


def test_a_wrong_checksum_names_the_file(bundle: Path, folder: Path) -> None:
    write_bundle(bundle, FILES, a_manifest(**{"requests.parquet": "00" * 32}))
    with pytest.raises(StoreFailed, match=r"requests\.parquet has the SHA-256 .* its manifest says 0000"):
        unpack_bundle(bundle, folder)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "sub/record.json", "extra.txt", "./record.json"])
def test_a_name_that_does_not_belong_is_refused_and_nothing_is_written(bundle: Path, folder: Path, name: str) -> None:
    rewrite(bundle, [(tarfile.TarInfo(name), b"evil"), *members(bundle)])
    with pytest.raises(StoreFailed, match="does not belong in a bundle"):
        unpack_bundle(bundle, folder)
    assert list(folder.iterdir()) == []
    assert not (folder.parent / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_a_device_is_refused(bundle: Path, folder: Path, kind: bytes) -> None:
    odd = tarfile.TarInfo("record.json")
    odd.type, odd.linkname = kind, "/etc/passwd"
    rewrite(bundle, [(odd, b"")])
    with pytest.raises(StoreFailed, match="as a link, a folder, or twice"):
        unpack_bundle(bundle, folder)


def test_a_file_that_comes_twice_is_refused(bundle: Path, folder: Path) -> None:
    rewrite(bundle, [*members(bundle), *members(bundle)])
    with pytest.raises(StoreFailed, match="or twice"):
        unpack_bundle(bundle, folder)


def test_a_file_too_large_to_be_true_is_refused_by_its_header(bundle: Path, folder: Path) -> None:
    entry = tarfile.TarInfo(MANIFEST_FILE)
    entry.size = 1 << 40
    bundle.write_bytes(gzip.compress(entry.tobuf()))
    with pytest.raises(StoreFailed, match="too large"):
        unpack_bundle(bundle, folder)


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "schema None"),
        (b'{"schema": "tokenforge.bundle/9"}', "tokenforge.bundle/9"),
        (b'{"schema": "tokenforge.bundle/1", "files": 3}', "not whole"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(bundle: Path, folder: Path, manifest: bytes, words: str) -> None:
    rewrite(bundle, [(tarfile.TarInfo(MANIFEST_FILE), manifest), *members(bundle)[1:]])
    with pytest.raises(StoreFailed, match=words):
        unpack_bundle(bundle, folder)


def test_something_else_is_no_bundle(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "x.tgz").write_text(json.dumps({"not": "a tar"}))
    with pytest.raises(StoreFailed, match="no bundle"):
        unpack_bundle(tmp_path / "x.tgz", folder)
    with pytest.raises(NotFound, match="is not a file"):
        unpack_bundle(tmp_path / "nowhere.tgz", folder)
