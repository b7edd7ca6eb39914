"""Control of a cluster, put together."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tokenforge.cli.cluster_site import model_bytes, site_of
from tokenforge.cluster.kubernetes.api import connect
from tokenforge.cluster.kubernetes.orchestrator import KubernetesOrchestrator
from tokenforge.cluster.kubernetes.worker_infos import ask_worker
from tokenforge.control.clusters import ClusterControl
from tokenforge.control.loop import Control
from tokenforge.settings import Settings


@asynccontextmanager
async def cluster_control(settings: Settings, control: Control) -> AsyncIterator[None]:
    """Beside `control`, under its lease: the deployments of the cluster that is set; nothing where none is."""
    if settings.kubernetes is None:
        yield
        return
    site = site_of(settings.kubernetes)
    api, _ = connect()
    orchestrator = KubernetesOrchestrator(
        api=api, site=site, model_bytes=model_bytes(settings), ask=ask_worker, chance=random.random
    )
    orchestrator.start()
    stop = asyncio.Event()
    controlling = asyncio.create_task(
        ClusterControl(
            deployments=control.deployments,
            observations=control.observations,
            events=control.events,
            demands=control.demands,
            lease=lambda: control.lease,
            orchestrator=orchestrator,
            metrics=control.metrics,
        ).run(stop)
    )
    try:
        yield
    finally:
        stop.set()
        await controlling
        await orchestrator.close()
