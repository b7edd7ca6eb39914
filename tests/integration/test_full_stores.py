"""A PostgreSQL and an S3 server whose disks are full, really: told, waited for, and nothing that was said is lost."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from kept_samples import a_record
from s3_rig import S3

from servers.postgres import Postgres
from servers.s3 import BUCKET, RcloneS3
from servers.small_disk import SmallDisk, can_mount, small_disk
from tokenforge.control.patience import patiently
from tokenforge.domain.errors import StoreUnavailable
from tokenforge.store.archive import Archive
from tokenforge.store.blobs.folder import FolderBlobs
from tokenforge.store.blobs.opening import open_blobs
from tokenforge.store.kept import kept_of
from tokenforge.store.sql.store import Store, open_store

pytestmark = pytest.mark.skipif(not can_mount(), reason="a small file system can be mounted by root alone")


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that PostgreSQL's ordinary user can reach."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def disk(folder: Path) -> Iterator[SmallDisk]:
    with small_disk(folder / "disk", megabytes=120) as made:
        yield made


@pytest.fixture
def postgres(disk: SmallDisk) -> Iterator[Postgres]:
    server = Postgres(folder=disk.folder / "postgres", is_durable=False)
    server.start()
    yield server
    disk.free()
    server.stop("immediate")


@pytest.fixture
async def store(postgres: Postgres) -> AsyncIterator[Store]:
    store = open_store(postgres.url())
    await store.observations.version()
    yield store
    await store.close()


async def write_until_refused(store: Store, *, subject: str = "d") -> tuple[list[str], StoreUnavailable]:
    """Append events of 100 kB that do not compress; those that were acknowledged, and what was said at last."""
    said: list[str] = []
    while True:
        message = os.urandom(50_000).hex()
        try:
            await store.events.append(f"{subject}{len(said)}", reason="Full", message=message)
        except StoreUnavailable as error:
            return said, error
        said.append(message)
        assert len(said) < 2_000, "it never filled"


async def test_a_full_database_is_told_and_waited_for_and_has_all_that_it_took(
    folder: Path, disk: SmallDisk, postgres: Postgres, store: Store
) -> None:
    disk.fill(leave_bytes=6 << 20)
    said, refused = await write_until_refused(store)
    assert said
    assert str(refused).startswith("the database postgresql://")
    assert postgres.password not in str(refused)
    result = folder / "result"
    kept = kept_of(a_record(result))
    archive = Archive(blobs=FolderBlobs(folder / "blobs"), rows=store.blobs, kept=store.kept)
    disk.fill()
    keeping = asyncio.create_task(patiently(lambda: archive.keep(result, kept), what="the test", limit_s=60))
    await asyncio.wait({keeping}, timeout=1.0)
    disk.free()
    if not postgres.is_up():  # without room for its log it ends itself, as it must
        postgres.restart()
    await keeping
    assert len((await store.kept.find(kept.id)).artifacts) == 3
    for number, message in enumerate(said):
        assert [one.message for one in await store.events.after(f"d{number}", seq=0, limit=9)] == [message]


async def test_a_database_without_room_for_its_log_ends_and_comes_again_with_all_that_it_took(
    disk: SmallDisk, postgres: Postgres, store: Store
) -> None:
    for number in range(20):
        await store.events.append(f"d{number}", reason="Before", message="kept")
    disk.fill()
    await write_until_refused(store, subject="more")
    disk.free()
    if not postgres.is_up():
        postgres.restart()
    for number in range(20):
        assert len(await store.events.after(f"d{number}", seq=0, limit=9)) == 1


async def test_a_full_artifact_store_is_told_leaves_no_row_and_is_waited_for(folder: Path, store: Store) -> None:
    with small_disk(folder / "s3", megabytes=16) as disk:
        server = RcloneS3(folder=disk.folder)
        server.start()
        try:
            rig = S3(endpoint=f"http://127.0.0.1:{server.port}", bucket=BUCKET, env=server.env())
            blobs = open_blobs(rig.url(prefix="full"), env=rig.env, default=folder)
            archive = Archive(blobs=blobs, rows=store.blobs, kept=store.kept)
            result = folder / "result"
            kept = kept_of(a_record(result))
            (result / "report.html").write_bytes(os.urandom(9 << 20))  # in parts
            disk.fill()
            with pytest.raises(StoreUnavailable, match=r"the artifact store s3://.* full"):
                await patiently(lambda: archive.keep(result, kept), what="the test", limit_s=0.1)
            assert await store.kept.recent(limit=9) == ()
            keeping = asyncio.create_task(patiently(lambda: archive.keep(result, kept), what="the test", limit_s=60))
            await asyncio.wait({keeping}, timeout=1.0)
            assert not keeping.done()
            disk.free()
            whole = await keeping
            for artifact in whole.artifacts:
                await blobs.get(artifact.sha256, folder / "again")
                assert (folder / "again").read_bytes() == (result / artifact.name).read_bytes()
        finally:
            server.stop()
