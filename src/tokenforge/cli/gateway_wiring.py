"""The gateway's parts, put together. Apart from control's: a process that is started again imports only its own.

The admin side is imported when it is first asked for (`admin_wiring`).
"""

import os
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from tokenforge import __version__
from tokenforge.gateway.plane import DataPlane
from tokenforge.gateway.server import GatewayParts
from tokenforge.settings import Settings
from tokenforge.store.sql.store import Store

if TYPE_CHECKING:
    from tokenforge.telemetry.tracing.tracer import Tracer


def make_gateway(settings: Settings, store: Store, *, is_loopback: bool) -> GatewayParts:
    """A gateway over the same store. `is_loopback`: it listens where only this machine reaches it."""

    def admin(plane: DataPlane, refresh: Callable[[], Awaitable[None]]) -> ASGIApp:
        from tokenforge.cli.admin_wiring import make_admin

        return make_admin(settings, store, plane, refresh)

    return GatewayParts(
        deployments=store.deployments,
        observations=store.observations,
        keys=store.keys,
        random=os.urandom,
        is_loopback=is_loopback,
        demands=store.demands,
        hold_s=settings.hold_s,
        admin=admin,
        logs_all=settings.observing.log_requests,
        tracer=_tracer(settings),
    )


def _tracer(settings: Settings) -> "Tracer | None":
    if settings.observing.traces_url is None:
        return None
    from tokenforge.telemetry.tracing.tracer import make_tracer

    return make_tracer(
        settings.observing, service="tokenforge-gateway", version=__version__, instance=socket.gethostname()
    )
