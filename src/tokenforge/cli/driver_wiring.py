"""Who offers a benchmark's load: processes of this machine, or pods of the cluster that is set."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tokenforge.bench.cluster.drivers import ClusterDrivers
from tokenforge.bench.cluster.pods import DriverPods
from tokenforge.bench.driver.offer import Offer, offer
from tokenforge.cli.cluster_site import require_cluster, site_of
from tokenforge.cli.driver_pod import shelf_name
from tokenforge.cluster.kubernetes.api import connect
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.placement import Placement
from tokenforge.settings import Settings
from tokenforge.store.blobs.opening import open_shelf


@asynccontextmanager
async def drivers_of(settings: Settings, benchmark: Benchmark) -> AsyncIterator[tuple[Offer, int | None]]:
    """What offers its trials, and how many may share one; None: as many as this machine has cores."""
    require_cluster(settings, benchmark)
    if benchmark.target is not Placement.KUBERNETES or settings.kubernetes is None or settings.artifacts_url is None:
        yield offer, None
        return
    site = site_of(settings.kubernetes)
    api, _ = connect()
    url = settings.artifacts_url
    drivers = ClusterDrivers(
        pods=DriverPods(api=api, site=site),
        shelf_of=lambda name: open_shelf(url, env=settings.s3_env, folder=shelf_name(name)),
        new_name=lambda: f"tf-drivers-{os.urandom(5).hex()}",
    )
    try:
        await drivers.clear()
        yield drivers, site.drivers.most
    finally:
        await api.close()
