"""A process's page of metrics, served where the settings say and told to the gateway of this machine."""

import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from prometheus_client import CollectorRegistry

from tokenforge.cli.server import targets_folder
from tokenforge.domain.errors import PortInUse
from tokenforge.settings import Settings
from tokenforge.telemetry.targets import MetricsTarget, TargetFiles

_log = logging.getLogger(__name__)


class Serve(Protocol):
    """Serves a page while a block lasts; gives its address. Raises PortInUse."""

    def __call__(self, registry: CollectorRegistry, *, host: str, port: int) -> AbstractAsyncContextManager[str]:
        """Port 0 takes a free one."""
        ...


@contextlib.asynccontextmanager
async def metrics_told(
    settings: Settings, registry: CollectorRegistry, *, process: str, served: Serve | None = None
) -> AsyncIterator[None]:
    """Serve the page while the block lasts, `served` by uvicorn or another; nothing where metrics are off.

    Where control has the port of the settings already, what it starts takes a free one.
    """
    if settings.metrics_listen is None:
        yield
        return
    serve = served or _by_uvicorn()
    host, port = settings.metrics_listen
    async with contextlib.AsyncExitStack() as stack:
        try:
            address = await stack.enter_async_context(serve(registry, host=host, port=port))
        except PortInUse as error:
            if port == 0:
                raise
            _log.warning("metrics take a free port instead: %s", error)
            address = await stack.enter_async_context(serve(registry, host=host, port=0))
        target = MetricsTarget(address=address, labels={"process": process})
        with TargetFiles(targets_folder(settings)).said(process, target):
            yield


def _by_uvicorn() -> Serve:
    from tokenforge.telemetry.metrics_server import metrics_served

    return metrics_served
