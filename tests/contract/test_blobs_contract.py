"""What every store of artifacts promises: a folder, and real S3 servers."""

import asyncio
import hashlib
import os
import urllib.request
from pathlib import Path

import pytest
from s3_rig import S3, begin_upload, ceph_url

from tokenforge.domain.errors import NotFound, StoreFailed, StoreUnavailable
from tokenforge.store.blobs.base import Blobs, key_of
from tokenforge.store.blobs.location import Bucket, read_location
from tokenforge.store.blobs.opening import open_blobs
from tokenforge.store.blobs.s3 import S3Blobs
from tokenforge.store.blobs.s3_uploads import Uploads

SERVERS = ["folder", "rclone", *(["ceph"] if ceph_url() else [])]
LARGE_BYTES = 20 << 20


@pytest.fixture(params=SERVERS)
def s3(request: pytest.FixtureRequest) -> S3 | None:
    """The server under it, if any."""
    if request.param == "folder":
        return None
    found: S3 = request.getfixturevalue("rclone" if request.param == "rclone" else "ceph")
    return found


@pytest.fixture
def blobs(s3: S3 | None, tmp_path: Path) -> Blobs:
    url, env = (None, {}) if s3 is None else (s3.url(prefix=tmp_path.name), s3.env)
    return open_blobs(url, env=env, default=tmp_path / "kept")


def file_of(folder: Path, content: bytes, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


async def names(blobs: Blobs) -> list[str]:
    return sorted([one.sha256 async for one in blobs.list()])


async def test_what_was_kept_comes_back_under_the_name_of_its_content(blobs: Blobs, tmp_path: Path) -> None:
    kept = await blobs.put(file_of(tmp_path, b"hello"), media_type="text/plain")
    assert (kept.sha256, kept.size_bytes) == (hashlib.sha256(b"hello").hexdigest(), 5)
    await blobs.get(kept.sha256, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"hello"


async def test_an_empty_file_is_kept_too(blobs: Blobs, tmp_path: Path) -> None:
    kept = await blobs.put(file_of(tmp_path, b""), media_type="text/plain")
    await blobs.get(kept.sha256, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""


async def test_a_large_file_comes_back_whole(blobs: Blobs, tmp_path: Path) -> None:
    content = os.urandom(1 << 20) * (LARGE_BYTES >> 20) + b"end"
    kept = await blobs.put(file_of(tmp_path, content), media_type="application/octet-stream")
    await blobs.get(kept.sha256, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


async def test_the_same_content_twice_or_at_once_is_one_blob(blobs: Blobs, tmp_path: Path) -> None:
    files = [file_of(tmp_path, b"same", name) for name in "abcd"]
    kept = await asyncio.gather(*(blobs.put(file, media_type="text/plain") for file in files))
    assert await names(blobs) == [kept[0].sha256]
    assert len(set(kept)) == 1


async def test_one_that_is_not_there_is_not_found_and_leaves_no_file(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await blobs.get("0" * 64, tmp_path / "back")
    assert [path.name for path in sorted(tmp_path.iterdir()) if "back" in path.name] == []  # noqa: ASYNC240


async def test_a_deleted_one_is_gone_and_may_be_deleted_again(blobs: Blobs, tmp_path: Path) -> None:
    kept = await blobs.put(file_of(tmp_path, b"x"), media_type="text/plain")
    await blobs.delete(kept.sha256)
    await blobs.delete(kept.sha256)
    assert await names(blobs) == []


async def test_its_place_can_be_read_without_a_key(blobs: Blobs, tmp_path: Path) -> None:
    kept = await blobs.put(file_of(tmp_path, b"<p>"), media_type="text/html; charset=utf-8")
    place = await blobs.place(kept.sha256, ttl_s=60)
    if isinstance(place, Path):
        assert place.read_bytes() == b"<p>"
        return
    answer = await asyncio.to_thread(urllib.request.urlopen, place, timeout=10)
    with answer:
        assert (answer.headers["content-type"], answer.read()) == ("text/html; charset=utf-8", b"<p>")


async def test_a_file_that_cannot_be_read_is_told(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="no-such-file"):
        await blobs.put(tmp_path / "no-such-file", media_type="text/plain")


async def test_a_name_that_is_no_checksum_reaches_nothing(blobs: Blobs, tmp_path: Path) -> None:
    for name in ("../../etc/passwd", "A" * 64, "", "0" * 63 + "/"):
        with pytest.raises(ValueError, match="not a SHA-256"):
            await blobs.get(name, tmp_path / "back")


async def test_what_a_killed_upload_left_half_is_sent_again_whole(blobs: Blobs, s3: S3 | None, tmp_path: Path) -> None:
    if s3 is not None and s3.root is None:
        pytest.skip("only where the files of the server are at hand")
    root = tmp_path / "kept" if s3 is None or s3.root is None else s3.root / s3.bucket / tmp_path.name
    at = root / key_of(hashlib.sha256(b"whole").hexdigest())
    at.parent.mkdir(parents=True)
    at.write_bytes(b"who")
    await blobs.put(file_of(tmp_path, b"whole"), media_type="text/plain")
    assert at.read_bytes() == b"whole"


async def test_parts_that_nobody_ended_are_found_and_given_up(s3: S3 | None, tmp_path: Path) -> None:
    if s3 is None:
        pytest.skip("a folder has no parts")
    bucket = read_location(s3.url(prefix=tmp_path.name), env=s3.env)
    assert isinstance(bucket, Bucket)
    key, uploads = key_of("0" * 64), Uploads(bucket)
    begin_upload(bucket, key)
    assert [found for found, _ in uploads.begun(key)] == [f"{tmp_path.name}/{key}"]
    assert await S3Blobs(bucket).abandon(key) == 1
    assert uploads.begun(key) == []


async def test_to_remove_a_blob_gives_up_parts_of_it_that_nobody_ended(s3: S3 | None, tmp_path: Path) -> None:
    if s3 is None:
        pytest.skip("a folder has no parts")
    bucket = read_location(s3.url(prefix=tmp_path.name), env=s3.env)
    assert isinstance(bucket, Bucket)
    begin_upload(bucket, key_of("0" * 64))
    await S3Blobs(bucket).delete("0" * 64)
    assert Uploads(bucket).begun("blobs/") == []


async def test_an_upload_that_the_server_forgets_is_to_be_sent_again(s3: S3 | None, tmp_path: Path) -> None:
    if s3 is None:
        pytest.skip("a folder has no parts")
    bucket = read_location(s3.url(prefix=tmp_path.name), env=s3.env)
    assert isinstance(bucket, Bucket)
    blobs, uploads = S3Blobs(bucket), Uploads(bucket)
    file = file_of(tmp_path, os.urandom(4 * LARGE_BYTES))
    putting = asyncio.create_task(blobs.put(file, media_type="text/plain"))
    while not putting.done() and await asyncio.to_thread(uploads.abandon, "blobs/") == 0:
        continue
    with pytest.raises(StoreUnavailable, match="lost an upload in parts"):
        await putting
    assert (await blobs.put(file, media_type="text/plain")).size_bytes == 4 * LARGE_BYTES


async def test_a_bucket_that_is_not_there_is_not_found(s3: S3 | None, tmp_path: Path) -> None:
    if s3 is None:
        pytest.skip("a folder has no bucket")
    bucket = read_location(s3.url(prefix="p").replace(f"/{s3.bucket}/", "/no-such-bucket/"), env=s3.env)
    assert isinstance(bucket, Bucket)
    with pytest.raises(NotFound, match="no such object or bucket"):
        await S3Blobs(bucket).put(file_of(tmp_path, os.urandom(LARGE_BYTES)), media_type="text/plain")
