"""What must be true of a database and an artifact store, whatever was killed; each finding is a line."""

import hashlib
from collections.abc import AsyncIterator, Iterator

import psycopg

from store.site import FILES, Site
from tokenforge.domain.run import RunStatus
from tokenforge.store.archive import Archive
from tokenforge.store.blobs.location import Bucket, read_location
from tokenforge.store.blobs.opening import open_blobs
from tokenforge.store.blobs.s3_uploads import Uploads
from tokenforge.store.sql.store import Store, open_store

_NONE_OF = {
    "a benchmark is kept twice": "SELECT queued_id FROM benchmark GROUP BY queued_id HAVING count(*) > 1",
    "a file is counted twice": "SELECT benchmark_id FROM artifact GROUP BY benchmark_id, name HAVING count(*) > 1",
    "a benchmark has not its three files": (
        f"SELECT benchmark_id FROM artifact GROUP BY benchmark_id HAVING count(*) <> {FILES}"
    ),
    "a run that succeeded is not kept": (
        "SELECT q.id FROM queued_run q LEFT JOIN benchmark b ON b.queued_id = q.benchmark_id"
        " WHERE q.status = 'succeeded' AND b.id IS NULL"
    ),
    "a run is kept that did not succeed": (
        "SELECT b.id FROM benchmark b JOIN queued_run q ON b.queued_id = q.benchmark_id WHERE q.status <> 'succeeded'"
    ),
    "a run has no end": "SELECT id FROM queued_run WHERE status NOT IN ('succeeded', 'interrupted', 'failed')",
    "a key of a load is left": "SELECT name FROM api_key",
}
"""Queries that must find nothing."""


async def look_at(site: Site, identity: str) -> tuple[str, str, list[str]]:
    """The state of one run, how often it was taken up, and what is wrong with it."""
    store = open_store(site.database_url)
    try:
        queued = await store.benchmarks.get(identity)
        told = (str(queued.status), queued.facts.get("taken_up", "0"))
        if queued.status is RunStatus.INTERRUPTED and queued.runs[0].cause:
            return *told, []
        if queued.status is not RunStatus.SUCCEEDED:
            return *told, [f"its state is {queued.status} ({queued.runs[0].cause})"]
        return *told, [line async for line in _bytes_of(store, site, identity)]
    finally:
        await store.close()


async def _bytes_of(store: Store, site: Site, identity: str) -> AsyncIterator[str]:
    blobs = open_blobs(site.artifacts_url, env=site.env, default=site.work)
    kept = await store.kept.find(identity)
    if kept.id != f"of-{identity}" or len(kept.artifacts) != FILES:
        yield f"kept {kept.id} with {len(kept.artifacts)} files"
    for artifact in kept.artifacts:
        file = site.work / "check"
        await blobs.get(artifact.sha256, file)
        data = file.read_bytes()
        if (hashlib.sha256(data).hexdigest(), len(data)) != (artifact.sha256, artifact.size_bytes):
            yield f"{artifact.name} has other bytes"
        if identity.encode() not in data:
            yield f"{artifact.name} is another's"


async def look_at_all(site: Site) -> list[str]:
    """What is wrong with all of them together, at first and after a sweep."""
    wrong = list(_rows(site))
    store = open_store(site.database_url)
    blobs = open_blobs(site.artifacts_url, env=site.env, default=site.work)
    try:
        await Archive(blobs=blobs, rows=store.blobs, kept=store.kept).sweep(grace_s=-1)
        named = _column(site, "SELECT DISTINCT sha256 FROM artifact")
        there = {one.sha256 async for one in blobs.list()}
        if named - there:
            wrong.append(f"{len(named - there)} rows without their file")
        if there - named:
            wrong.append(f"{len(there - named)} files without a row after a sweep")
        bucket = read_location(site.artifacts_url, env=site.env)
        assert isinstance(bucket, Bucket)
        if begun := Uploads(bucket).begun("blobs/"):
            wrong.append(f"{len(begun)} uploads in parts that nobody ended after a sweep")
        return wrong
    finally:
        await store.close()


def _rows(site: Site) -> Iterator[str]:
    for what, query in _NONE_OF.items():
        if found := _column(site, query):
            yield f"{what}: {', '.join(sorted(found))}"


def _column(site: Site, query: str) -> set[str]:
    with psycopg.connect(site.database_url) as connection:
        return {str(row[0]) for row in connection.execute(query.encode())}
