"""A process's page of metrics, served where the settings say and told to the gateway of this machine."""

import contextlib
from collections.abc import AsyncIterator

from prometheus_client import CollectorRegistry

from tokenforge.cli.server import targets_folder
from tokenforge.settings import Settings
from tokenforge.telemetry.metrics_server import metrics_served
from tokenforge.telemetry.targets import MetricsTarget, TargetFiles


@contextlib.asynccontextmanager
async def metrics_told(settings: Settings, registry: CollectorRegistry, *, process: str) -> AsyncIterator[None]:
    """Serve the page while the block lasts; nothing where metrics are off. Raises PortInUse."""
    if settings.metrics_listen is None:
        yield
        return
    host, port = settings.metrics_listen
    async with metrics_served(registry, host=host, port=port) as address:
        target = MetricsTarget(address=address, labels={"process": process})
        with TargetFiles(targets_folder(settings)).said(process, target):
            yield
