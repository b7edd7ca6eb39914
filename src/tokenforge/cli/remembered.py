"""What was measured, for commands that end: kept in the store of this home or the one that was set, listed, forgotten.

A home of an older version has a list of its own, `tokenforge.db`; its rows are taken over once.
"""

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tokenforge.bench.exporting import export_run
from tokenforge.bench.outcome import report_again
from tokenforge.cli.platform_places import platform_archive, platform_store
from tokenforge.domain.errors import NotFound, StoreFailed
from tokenforge.domain.kept import KeptBenchmark, KeptRun
from tokenforge.domain.run import RunStatus
from tokenforge.settings import read_settings
from tokenforge.store.archive import Archive
from tokenforge.store.artifacts import REPORT_FILE
from tokenforge.store.base import RunFilter
from tokenforge.store.blobs.base import blob_of
from tokenforge.store.bundle import unpack_bundle
from tokenforge.store.kept import kept_of

T = TypeVar("T")
_AT_ONCE = 500
_OLD_LIST = "tokenforge.db"


def remember(document: Mapping[str, object], folder: Path) -> None:
    """Enter what a command measured; where an artifact store was set its files go there too. Raises StoreFailed."""

    async def work(archive: Archive) -> None:
        kept = kept_of(document, folder=str(folder))
        if read_settings().artifacts_url is None:
            await archive.kept.keep(kept)  # its files stay where the user wanted them
        else:
            await archive.keep(folder, kept)

    _with_archive(work)


def recent(*, limit: int, only: RunFilter) -> tuple[KeptBenchmark, ...]:
    """The newest."""
    return _with_archive(lambda archive: archive.kept.recent(limit=limit, only=only))


def prune(*, before: str, beyond: int | None) -> tuple[int, int]:
    """Forget old ones, then remove the files that nobody needs any more. How many of each."""

    async def work(archive: Archive) -> tuple[int, int]:
        count = 0
        while gone := await archive.kept.forget(before=before, beyond=beyond, limit=_AT_ONCE):
            count += gone
        return count, await archive.sweep()

    return _with_archive(work)


def export(identity: str, out: Path) -> str:
    """Pack one as a bundle. Returns its SHA-256. Raises NotFound, StoreFailed."""

    async def work(archive: Archive) -> str:
        kept = await archive.kept.find(identity)
        if kept.artifacts:
            with tempfile.TemporaryDirectory() as name:
                for artifact in kept.artifacts:
                    await archive.blobs.get(artifact.sha256, Path(name) / artifact.name)
                return await asyncio.to_thread(export_run, Path(name), out)
        if not kept.folder:
            raise NotFound(f"{identity} has no files any more")
        return await asyncio.to_thread(export_run, Path(kept.folder), out)

    return _with_archive(work)


def take_in(bundle: Path) -> KeptBenchmark:
    """Keep the run of a bundle, its report made again and compared. Raises NotFound, StoreFailed."""

    async def work(archive: Archive) -> KeptBenchmark:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            manifest = await asyncio.to_thread(unpack_bundle, bundle, folder)
            outcome = await asyncio.to_thread(report_again, folder)
            if blob_of(folder / REPORT_FILE).sha256 != manifest.report_sha256:
                message = f"the report of {bundle} comes out otherwise here than where it was exported"
                raise StoreFailed(message, hint="`tokenforge reproduce` tells where they differ")
            return await archive.keep(folder, kept_of(outcome.document))

    return _with_archive(work)


def _with_archive(work: Callable[[Archive], Awaitable[T]]) -> T:
    settings = read_settings()

    async def main() -> T:
        store = platform_store(settings)
        try:
            archive = platform_archive(settings, store)
            if (old := settings.home / _OLD_LIST).exists():
                await _take_over(old, archive)
            return await work(archive)
        finally:
            await store.close()

    return asyncio.run(main())


async def _take_over(old: Path, archive: Archive) -> None:
    """Enter the rows of an older version's list, then put it aside."""
    for kept in await asyncio.to_thread(read_old_list, old):
        try:
            await archive.kept.find(kept.id)
        except NotFound:
            await archive.kept.keep(kept)
    await asyncio.to_thread(old.rename, old.with_name(f"{_OLD_LIST}.taken-over"))


def read_old_list(path: Path) -> list[KeptBenchmark]:
    """The rows of a list that an older version made. Raises StoreFailed for a file that is none."""
    found = []
    try:
        with closing(sqlite3.connect(path, timeout=10)) as db:
            for row in db.execute("SELECT id, created_at, folder, spec_hash, headline FROM benchmark").fetchall():
                runs = db.execute(
                    "SELECT id, model, runtime, workload, status, cause FROM run WHERE benchmark_id = ? ORDER BY id",
                    (row[0],),
                ).fetchall()
                found.append(_old_row(row, runs))
    except sqlite3.Error as error:
        raise StoreFailed(f"the list of past runs {path} cannot be read: {error}", hint="Move it away") from error
    return found


def _old_row(row: tuple[str, ...], runs: list[tuple[str, ...]]) -> KeptBenchmark:
    kept = tuple(
        KeptRun(id=r[0], model=r[1], runtime=r[2], workload=r[3], status=RunStatus(r[4]), cause=r[5] or "")
        for r in runs
    )
    benchmark = KeptBenchmark(
        id=row[0], created_at=row[1], folder=row[2], spec_hash=row[3], headline=row[4], verdict="", runs=kept
    )
    try:  # the headline was once kept as the text of a list
        lines = json.loads(row[4].replace("'", '"'))
    except ValueError:
        return benchmark
    return replace(benchmark, headline="\n".join(map(str, lines)) if isinstance(lines, list) else row[4])
