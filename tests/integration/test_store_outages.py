"""A database and an artifact store that restart, are slow or refuse while a run is kept: nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from databases import Databases
from kept_samples import a_record
from s3_rig import S3

from servers.proxy import Proxy
from tokenforge.control.patience import patiently
from tokenforge.domain.errors import StoreFailed, StoreUnavailable
from tokenforge.store.archive import Archive
from tokenforge.store.blobs.folder import FolderBlobs
from tokenforge.store.blobs.opening import open_blobs
from tokenforge.store.kept import kept_of
from tokenforge.store.sql.store import Store, open_store


@dataclass(slots=True)
class Between:
    """A store and an archive, each behind a proxy."""

    store: Store
    archive: Archive
    database: Proxy
    s3: Proxy
    folder: Path

    async def keep(self) -> int:
        """Keep a run as control does, waiting for what is not there; how many files it has then."""
        kept = kept_of(a_record(self.folder))
        await patiently(lambda: self.archive.keep(self.folder, kept), what="the test", limit_s=60)
        return len((await patiently(lambda: self.store.kept.find(kept.id), what="the test")).artifacts)


@pytest.fixture
async def between(tmp_path: Path, databases: Databases, rclone: S3) -> AsyncIterator[Between]:
    url = databases.new()
    database, s3 = Proxy(databases.server.port), Proxy(urlsplit(rclone.endpoint).port or 0)
    store = open_store(url.replace(f":{databases.server.port}/", f":{database.port}/"))
    await store.observations.version()
    there = f"s3://{rclone.bucket}/{tmp_path.name}?endpoint=http://127.0.0.1:{s3.port}"
    blobs = open_blobs(there, env=rclone.env, default=tmp_path)
    yield Between(store, Archive(blobs=blobs, rows=store.blobs, kept=store.kept), database, s3, tmp_path / "result")
    await store.close()
    database.close()
    s3.close()


@pytest.mark.parametrize("which", [lambda rig: rig.database, lambda rig: rig.s3], ids=["database", "s3"])
async def test_what_refuses_for_a_while_is_waited_for(between: Between, which: Callable[[Between], Proxy]) -> None:
    which(between).refuse()
    asyncio.get_running_loop().call_later(1.0, which(between).serve)
    assert await between.keep() == 3


@pytest.mark.parametrize("which", [lambda rig: rig.database, lambda rig: rig.s3], ids=["database", "s3"])
async def test_what_is_slow_is_waited_for(between: Between, which: Callable[[Between], Proxy]) -> None:
    which(between).delay_s = 0.1
    assert await between.keep() == 3


async def test_a_database_that_restarts_meanwhile_loses_nothing_that_was_acknowledged(
    between: Between, databases: Databases
) -> None:
    assert await between.keep() == 3
    databases.server.stop("immediate")
    keeping = asyncio.create_task(between.keep())
    await asyncio.to_thread(databases.server.start)
    assert await keeping == 3
    assert len(await between.store.kept.recent(limit=9)) == 1


async def test_one_that_stays_away_is_told_in_the_end(between: Between) -> None:
    between.database.refuse()
    with pytest.raises(StoreUnavailable, match="the database postgresql"):
        await patiently(between.store.observations.version, what="the test", limit_s=0.5)


async def test_files_that_cannot_be_written_are_told_and_leave_no_row(between: Between, tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file where a folder must be")
    archive = Archive(blobs=FolderBlobs(tmp_path), rows=between.store.blobs, kept=between.store.kept)
    with pytest.raises(StoreFailed, match="could not be written"):
        await archive.keep(between.folder, kept_of(a_record(between.folder)))
    assert await between.store.kept.recent(limit=9) == ()
