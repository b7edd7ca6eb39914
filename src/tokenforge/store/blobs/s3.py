"""Blobs in any S3-compatible server, through obstore; the only file that imports it.

A blob is uploaded, then looked at: only a whole one under its name counts. A large one goes up in parts; parts that a
killed process left behind are given up before the same content is sent again. Refuses to rest on conditional writes and
on ranged reads, which servers answer differently.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from tokenforge.domain.errors import NotFound, StoreFailed, StoreUnavailable
from tokenforge.store.artifacts import store_failed
from tokenforge.store.blobs.base import Blob, Listed, blob_of, key_of
from tokenforge.store.blobs.location import Bucket
from tokenforge.store.blobs.s3_uploads import Uploads

PART_BYTES = 8 << 20
_TIMEOUT_S = 20
_LIMIT_S = 30.0
_MOST_MINUTES_A_TRANSFER = 30


class S3Blobs:
    """The port Blobs in `bucket`."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._store = _open(bucket)

    async def put(self, file: Path, *, media_type: str) -> Blob:
        """Keep the content of `file`."""
        try:
            blob = await asyncio.to_thread(blob_of, file)
        except OSError as error:
            raise store_failed(file, error) from error
        key = key_of(blob.sha256)
        if await self._size(key) == blob.size_bytes:
            return blob
        if blob.size_bytes > PART_BYTES:
            await self.abandon(key)
        with _named_failure(self._bucket), _upload_can_be_lost(self._bucket):
            async with asyncio.timeout(_MOST_MINUTES_A_TRANSFER * 60):
                attributes = {"Content-Type": media_type}
                await obstore.put_async(self._store, key, file, attributes=attributes, chunk_size=PART_BYTES)
        if (size := await self._size(key)) != blob.size_bytes:
            message = f"the artifact store {self._bucket.shown} took {blob.size_bytes} bytes and has {size}"
            raise StoreUnavailable(message)
        return blob

    async def get(self, sha256: str, file: Path) -> None:
        """Write the blob to `file`. Raises NotFound, StoreFailed."""
        partial = file.with_name(f".{file.name}.partial")
        digest = hashlib.sha256()
        try:
            with self._named_failure(), partial.open("wb") as to:
                async with asyncio.timeout(_MOST_MINUTES_A_TRANSFER * 60):
                    found = await obstore.get_async(self._store, key_of(sha256))
                    async for piece in found.stream():
                        digest.update(piece)
                        await asyncio.to_thread(_write, to, piece)
            if digest.hexdigest() != sha256:
                message = f"the artifact {sha256} in {self._bucket.shown} is not what was kept: its checksum differs"
                raise StoreFailed(message)
            partial.replace(file)
        except OSError as error:
            raise store_failed(file, error) from error
        finally:
            partial.unlink(missing_ok=True)

    async def place(self, sha256: str, *, ttl_s: float) -> Path | str:
        """A presigned link."""
        with self._named_failure():
            return await obstore.sign_async(self._store, "GET", key_of(sha256), timedelta(seconds=ttl_s))

    async def delete(self, sha256: str) -> None:
        """Remove it, and what a broken upload of it left."""
        await self.abandon(key_of(sha256))
        try:
            with self._named_failure():
                async with asyncio.timeout(_LIMIT_S):
                    await obstore.delete_async(self._store, key_of(sha256))
        except NotFound:
            return

    async def list(self) -> AsyncIterator[Listed]:
        """All that are there."""
        with self._named_failure():
            async for page in obstore.list(self._store, "blobs"):
                for one in page:
                    name = one["path"].rpartition("/")[2]
                    yield Listed(sha256=name, size_bytes=one["size"], written_s=one["last_modified"].timestamp())

    async def abandon(self, key: str = "blobs/") -> int:
        """Give up uploads in parts that nobody ended, of all keys that begin so. How many there were."""
        uploads = Uploads(self._bucket)
        return await asyncio.to_thread(uploads.abandon, key)

    async def _size(self, key: str) -> int | None:
        try:
            with self._named_failure():
                async with asyncio.timeout(_LIMIT_S):
                    return int((await obstore.head_async(self._store, key))["size"])
        except NotFound:
            return None

    def _named_failure(self) -> AbstractContextManager[None]:
        return _named_failure(self._bucket)


class S3Shelf:
    """The port Shelf below `folder` of `bucket`."""

    def __init__(self, bucket: Bucket, folder: str) -> None:
        self._bucket = bucket
        self._folder = folder
        self._store = _open(bucket)

    async def put(self, name: str, content: bytes) -> None:
        """Replace the object."""
        with _named_failure(self._bucket):
            async with asyncio.timeout(_LIMIT_S):
                await obstore.put_async(self._store, f"{self._folder}/{name}", content)

    async def get(self, name: str) -> bytes | None:
        """The object's content."""
        try:
            with _named_failure(self._bucket):
                async with asyncio.timeout(_LIMIT_S):
                    found = await obstore.get_async(self._store, f"{self._folder}/{name}")
                    return bytes(await found.bytes_async())
        except NotFound:
            return None

    async def put_file(self, name: str, file: Path) -> None:
        """In parts where it is large."""
        with _named_failure(self._bucket), _upload_can_be_lost(self._bucket):
            async with asyncio.timeout(_MOST_MINUTES_A_TRANSFER * 60):
                await obstore.put_async(self._store, f"{self._folder}/{name}", file, chunk_size=PART_BYTES)

    async def get_file(self, name: str, file: Path) -> None:
        """Piece by piece. Raises NotFound."""
        with _named_failure(self._bucket), file.open("wb") as to:
            async with asyncio.timeout(_MOST_MINUTES_A_TRANSFER * 60):
                found = await obstore.get_async(self._store, f"{self._folder}/{name}")
                async for piece in found.stream():
                    await asyncio.to_thread(_write, to, piece)

    async def clear(self) -> None:
        """Delete all that is listed there."""
        with _named_failure(self._bucket):
            async for page in obstore.list(self._store, self._folder):
                await obstore.delete_async(self._store, [one["path"] for one in page])


@contextmanager
def _named_failure(bucket: Bucket) -> Iterator[None]:
    """The errors of obstore and of time as ours; their long tails of debug text are left out."""
    where = f"the artifact store {bucket.shown}"
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"{where} has no such object or bucket") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        hint = "Look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the rights of that key"
        raise StoreFailed(f"{where} refused: {_first_line(error)}", hint=hint) from error
    except TimeoutError as error:
        raise StoreUnavailable(f"{where} did not answer in time") from error
    except BaseError as error:
        hint = "Look whether it is up, reachable and not full"
        raise StoreUnavailable(f"{where} failed: {_first_line(error)}", hint=hint) from error


@contextmanager
def _upload_can_be_lost(bucket: Bucket) -> Iterator[None]:
    """A server without room may forget an upload between two parts: it is to be sent again, nothing is absent."""
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error):
            raise
        raise StoreUnavailable(
            f"the artifact store {bucket.shown} lost an upload in parts", hint="Look whether it is up and not full"
        ) from error


def _open(bucket: Bucket) -> S3Store:
    known = bucket.credentials
    keys = {} if known is None else {"access_key_id": known.key, "secret_access_key": known.secret}
    if known is not None and known.token:
        keys["session_token"] = known.token
    if bucket.endpoint is not None:
        keys["endpoint"] = bucket.endpoint
    return S3Store(
        bucket.name,
        prefix=bucket.prefix or None,
        region=bucket.region,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": f"{_TIMEOUT_S}s", "connect_timeout": "5s"},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=_LIMIT_S)},
        **keys,  # type: ignore[arg-type]
    )


def _write(to: BinaryIO, piece: bytes) -> None:
    to.write(piece)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
