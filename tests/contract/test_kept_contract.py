"""What every store promises of benchmarks that were measured, and of the bytes that belong to them."""

from dataclasses import replace
from pathlib import Path

import pytest
from kept_samples import KEPT, a_record

from tokenforge.domain.errors import LeaseLost, NotFound, StoreFailed, StoreUnavailable
from tokenforge.domain.kept import Artifact
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.domain.run import RunStatus
from tokenforge.store.archive import Archive
from tokenforge.store.base import Ending, RunFilter
from tokenforge.store.blobs.folder import FolderBlobs
from tokenforge.store.kept import kept_of
from tokenforge.store.sql.store import Store

ARTIFACT = Artifact(name="report.html", sha256="a" * 64, size_bytes=3, media_type="text/html")
QUEUED = QueuedBenchmark(
    id="q1", body={}, created_at="", runs=(QueuedRun(id="qr1", model="m", runtime="sim", workload="w"),)
)
SUCCEEDED = Ending(queued_id="q1", runs={"qr1": (RunStatus.SUCCEEDED, "")}, facts={"headline": "h"})


async def test_what_was_measured_comes_back_whole_by_any_of_its_names(store: Store) -> None:
    await store.blobs.claim([ARTIFACT])
    await store.benchmarks.enqueue(QUEUED, idempotency=None)
    kept = replace(KEPT, queued_id="q1", artifacts=(ARTIFACT,))
    await store.kept.keep(kept)
    for name in (kept.id, kept.runs[0].id, "q1", "qr1"):
        assert await store.kept.find(name) == kept
    await store.kept.keep(replace(kept, queued_id=None))  # as an import of what is there already does
    assert await store.kept.find("q1") == kept


async def test_the_same_again_takes_its_own_place(store: Store) -> None:
    await store.blobs.claim([ARTIFACT])
    await store.kept.keep(replace(KEPT, queued_id="q1", artifacts=(ARTIFACT,)))
    await store.kept.keep(replace(KEPT, id="other", queued_id="q1", runs=(replace(KEPT.runs[0], id="other-0"),)))
    assert [kept.id for kept in await store.kept.recent(limit=9)] == ["other"]
    assert (await store.kept.find("other")).artifacts == ()


async def test_a_file_that_was_not_announced_is_not_named(store: Store) -> None:
    with pytest.raises(StoreFailed, match=r"report\.html"):
        await store.kept.keep(replace(KEPT, artifacts=(ARTIFACT,)))
    assert await store.kept.recent(limit=9) == ()


async def test_the_end_of_the_queued_one_comes_in_the_same_step(store: Store) -> None:
    await store.benchmarks.enqueue(QUEUED, idempotency=None)
    lease = await store.leases.acquire("control", owner="a", ttl_s=60)
    for status in (RunStatus.PREPARING, RunStatus.RUNNING):
        await store.benchmarks.step("q1", to=status, lease=lease)
    await store.kept.keep(replace(KEPT, queued_id="q1"), lease=lease, ending=SUCCEEDED)
    queued = await store.benchmarks.get("q1")
    assert (queued.status, queued.facts["headline"]) == (RunStatus.SUCCEEDED, "h")


async def test_what_was_measured_ends_a_run_that_was_never_said_to_run(store: Store) -> None:
    await store.benchmarks.enqueue(QUEUED, idempotency=None)
    lease = await store.leases.acquire("control", owner="a", ttl_s=60)
    await store.benchmarks.step("q1", to=RunStatus.PREPARING, lease=lease)
    await store.kept.keep(replace(KEPT, queued_id="q1"), lease=lease, ending=SUCCEEDED)
    assert (await store.benchmarks.get("q1")).status is RunStatus.SUCCEEDED


async def test_what_was_cancelled_stays_so_when_it_is_kept(store: Store) -> None:
    await store.benchmarks.enqueue(QUEUED, idempotency=None)
    await store.benchmarks.step("q1", to=RunStatus.CANCELLED, lease=None)
    await store.kept.keep(replace(KEPT, queued_id="q1"), ending=SUCCEEDED)
    assert (await store.benchmarks.get("q1")).status is RunStatus.CANCELLED


async def test_without_the_lease_nothing_is_kept_and_nothing_ends(store: Store) -> None:
    await store.benchmarks.enqueue(QUEUED, idempotency=None)
    old = await store.leases.acquire("control", owner="a", ttl_s=-1)
    assert old is not None
    await store.leases.acquire("control", owner="b", ttl_s=60)
    with pytest.raises(LeaseLost):
        await store.kept.keep(replace(KEPT, queued_id="q1"), lease=old, ending=SUCCEEDED)
    assert (await store.benchmarks.get("q1")).status is RunStatus.QUEUED
    assert await store.kept.recent(limit=9) == ()


async def test_the_newest_come_first_and_only_those_that_were_asked_for(store: Store) -> None:
    for day, runtime in enumerate(("sim", "vllm", "sim")):
        run = replace(KEPT.runs[0], id=f"r{day}", runtime=runtime)
        await store.kept.keep(replace(KEPT, id=f"b{day}", created_at=f"2026-01-0{day + 1}T00:00:00Z", runs=(run,)))
    assert [kept.id for kept in await store.kept.recent(limit=2)] == ["b2", "b1"]
    assert [kept.id for kept in await store.kept.recent(limit=9, only=RunFilter(runtime="sim"))] == ["b2", "b0"]
    failed = RunFilter(runtime="sim", status=RunStatus.FAILED)
    assert await store.kept.recent(limit=9, only=failed) == ()


async def test_old_ones_are_forgotten_by_age_or_by_number(store: Store) -> None:
    for day in range(1, 6):
        run = replace(KEPT.runs[0], id=f"r{day}")
        await store.kept.keep(replace(KEPT, id=f"b{day}", created_at=f"2026-01-0{day}T00:00:00Z", runs=(run,)))
    assert await store.kept.forget(before="2026-01-03T00:00:00Z", beyond=None, limit=99) == 2
    assert await store.kept.forget(before="", beyond=1, limit=99) == 2
    assert [kept.id for kept in await store.kept.recent(limit=9)] == ["b5"]
    with pytest.raises(NotFound):
        await store.kept.find("r1")


async def test_bytes_are_unneeded_once_no_row_names_them_and_not_before(store: Store) -> None:
    await store.blobs.claim([ARTIFACT])
    await store.kept.keep(replace(KEPT, artifacts=(ARTIFACT,)))
    assert await store.blobs.unneeded(limit=9, grace_s=-1) == ()
    await store.kept.forget(before="9", beyond=None, limit=9)
    assert await store.blobs.unneeded(limit=9, grace_s=60) == ()
    assert await store.blobs.unneeded(limit=9, grace_s=-1) == (ARTIFACT.sha256,)


async def test_bytes_that_are_being_removed_cannot_be_claimed_until_they_are_gone(store: Store) -> None:
    await store.blobs.claim([ARTIFACT])
    await store.blobs.unneeded(limit=9, grace_s=-1)
    with pytest.raises(StoreUnavailable, match=ARTIFACT.sha256):
        await store.blobs.claim([ARTIFACT])
    await store.blobs.removed([ARTIFACT.sha256])
    await store.blobs.claim([ARTIFACT])


async def test_a_folder_without_a_record_takes_no_kept_one_s_place(store: Store, tmp_path: Path) -> None:
    archive = Archive(blobs=FolderBlobs(tmp_path / "kept"), rows=store.blobs, kept=store.kept)
    kept = kept_of(a_record(tmp_path / "result"), queued_id="q1")
    await archive.keep(tmp_path / "result", kept)
    with pytest.raises(StoreFailed, match=r"record\.json"):
        await archive.keep(tmp_path / "gone", kept)
    assert len((await store.kept.find("q1")).artifacts) == 3


async def test_a_folder_of_results_is_kept_and_swept_only_when_it_is_forgotten(store: Store, tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "kept")
    archive = Archive(blobs=blobs, rows=store.blobs, kept=store.kept)
    document = a_record(tmp_path / "result")
    for _ in range(2):
        kept = await archive.keep(tmp_path / "result", kept_of(document, queued_id="q1"))
    assert await archive.sweep(grace_s=-1) == 0
    for artifact in (await store.kept.find(kept.id)).artifacts:
        await blobs.get(artifact.sha256, tmp_path / artifact.name)
        assert (tmp_path / artifact.name).read_bytes() == (tmp_path / "result" / artifact.name).read_bytes()
    await store.kept.forget(before="9", beyond=None, limit=9)
    assert await archive.sweep(grace_s=-1) == len(kept.artifacts) == 3
    assert [one async for one in blobs.list()] == []
