"""A process that leads and runs queued benchmarks as control does, with a fault at a step. Its load copies files."""

import asyncio
import contextlib
import os
from dataclasses import dataclass

from store.faults import Fault, FaultyBlobs, FaultyDatabase
from store.site import Site
from tokenforge.bench.benchmark_file import readable_formats
from tokenforge.control.bench_places import BenchPlaces
from tokenforge.control.bench_process import BenchCommand
from tokenforge.control.executor import Executor
from tokenforge.control.load_keys import LoadKeys
from tokenforge.domain.errors import TokenForgeError
from tokenforge.store.archive import Archive
from tokenforge.store.base import Lease
from tokenforge.store.blobs.opening import open_blobs
from tokenforge.store.sql.postgres import PostgresDatabase
from tokenforge.store.sql.store import Store, store_on

LEASE_S = 1.0


@dataclass(slots=True)
class _Lead:
    lease: Lease | None = None


async def lead(site: Site, fault: Fault, stop: asyncio.Event) -> None:
    """Lead until `stop`, or until the fault."""
    store = store_on(FaultyDatabase(PostgresDatabase(site.database_url), fault))
    blobs = FaultyBlobs(open_blobs(site.artifacts_url, env=site.env, default=site.work), fault)
    held = _Lead()
    executor = Executor(
        benchmarks=store.benchmarks, deployments=store.deployments, events=store.events, lease=lambda: held.lease,
        folder=site.work / "runs", command=BenchCommand(head=("/bin/sh", str(site.load)), env=dict(os.environ)),
        places=BenchPlaces(
            benchmarks=store.benchmarks, deployments=store.deployments, events=store.events, gateway_url=lambda: "",
            formats=readable_formats(), new_id=lambda: "none",
        ),
        archive=Archive(blobs=blobs, rows=store.blobs, kept=store.kept),
        load_keys=LoadKeys(keys=store.keys, random=os.urandom, now=lambda: "2026-01-01T00:00:00Z"),
    )  # fmt: skip
    beating = asyncio.create_task(_beat(store, held, stop))
    await executor.run(stop)
    await beating
    await store.close()


async def _beat(store: Store, held: _Lead, stop: asyncio.Event) -> None:
    """Hold the lease, prolonged four times as often as it would run out; given back at the end."""
    owner = f"p{os.getpid()}"
    while not stop.is_set():
        with contextlib.suppress(TokenForgeError):
            held.lease = await store.leases.acquire("control", owner=owner, ttl_s=LEASE_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LEASE_S / 4)
    if held.lease is not None:
        await store.leases.release(held.lease)
