"""The life of a gateway process: bind, read the table, serve, drain, end."""

import asyncio
import contextlib
import gc
import itertools
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from tokenforge import __version__
from tokenforge.gateway.access_log import WELL_EVERY, AccessLog
from tokenforge.gateway.app import GatewayApp
from tokenforge.gateway.demand import DemandMeter, DemandReporter
from tokenforge.gateway.direct import answered_directly
from tokenforge.gateway.feed import RouteFeed
from tokenforge.gateway.guard import KeyRing
from tokenforge.gateway.http.limits import Limits
from tokenforge.gateway.http.server import HttpServer
from tokenforge.gateway.late_app import LateApp
from tokenforge.gateway.openai_routes import PATHS, openai_route
from tokenforge.gateway.plane import DataPlane, Passage
from tokenforge.gateway.routing import HOLD_S, Router
from tokenforge.gateway.upstream import Upstream
from tokenforge.protocol.listening import LAST_BYTES_S
from tokenforge.store.base import Demands, Deployments, Keys, Observations
from tokenforge.telemetry.gateway_metrics import GatewayMetrics
from tokenforge.telemetry.logs import log_request
from tokenforge.telemetry.page import new_registry

if TYPE_CHECKING:
    from tokenforge.telemetry.tracing.tracer import Tracer

_log = logging.getLogger(__name__)

DRAIN_S = 20.0


MakeAdmin = Callable[[DataPlane, Callable[[], Awaitable[None]]], ASGIApp]
"""Makes the admin side of a data plane; the second argument brings its tables up to date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayParts:
    """What a gateway is made of that comes from outside.

    `random` gives so many bytes of chance; `is_loopback`: it cannot be reached from elsewhere; `hold_s`: how long a
    request waits for a place. `admin` is called when the admin side is first asked for.
    """

    deployments: Deployments
    observations: Observations
    keys: Keys
    random: Callable[[int], bytes]
    is_loopback: bool
    demands: Demands
    admin: MakeAdmin
    hold_s: float = HOLD_S
    tracer: "Tracer | None" = None
    registry: CollectorRegistry = field(default_factory=lambda: new_registry(__version__))
    logs_all: bool = False


def request_ids(chance: bytes) -> Callable[[], str]:
    """Ids for requests that bring none: a chance for the process, and a count."""
    return map(f"{chance.hex()}%016x".__mod__, itertools.count(1)).__next__


def open_parts(parts: GatewayParts) -> tuple[GatewayApp, RouteFeed]:
    """The application, and what keeps its table fresh."""
    router = Router(clock=time.monotonic, hold_s=parts.hold_s)
    meter = DemandMeter(router=router, clock=time.monotonic)
    reporter = DemandReporter(meter=meter, demands=parts.demands, gateway=parts.random(8).hex())
    router.tell_held = reporter.held
    ring = KeyRing(clock=time.monotonic, is_loopback=parts.is_loopback)
    feed = RouteFeed(parts.deployments, parts.observations, router)
    feed.also(parts.keys, ring)
    new_id = request_ids(parts.random(8))
    plane = DataPlane(
        router=router,
        upstream=Upstream(),
        guard=ring,
        metrics=GatewayMetrics(parts.registry),
        tracer=parts.tracer,
        refresh=feed.refresh,
        reporter=reporter,
        new_id=new_id,
        log=AccessLog(
            write=partial(log_request, _log), clock=time.monotonic, well_every=1 if parts.logs_all else WELL_EVERY
        ),
        handlers={"/infer": _infer, **dict.fromkeys(PATHS, openai_route)},
        quick=dict.fromkeys(PATHS, answered_directly),
    )
    admin = LateApp(plane=plane, make=lambda: parts.admin(plane, feed.refresh))
    app = GatewayApp(plane=plane, admin=admin, new_id=new_id)
    return app, feed


async def _infer(plane: DataPlane, passage: Passage) -> None:
    from tokenforge.gateway.infer_route import infer_route  # its shapes are pydantic's: for who asks for them

    await infer_route(plane, passage)


def make_server(app: GatewayApp, *, limits: Limits) -> HttpServer:
    """A server for it, to be given its socket. Within a running event loop."""
    return HttpServer(app, new_id=app.new_id, clock=time.monotonic, wall_s=time.time, limits=limits)


async def serve(parts: GatewayParts, *, listener: socket.socket, limits: Limits) -> None:
    """Serve until SIGTERM or SIGINT, then let requests in flight end within `DRAIN_S`."""
    app, feed = open_parts(parts)
    await feed.refresh()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = make_server(app, limits=limits)
    await server.start(listener)
    gc.collect()
    gc.freeze()  # what is loaded stays: no later look at what is garbage stops the streams to look at it too
    feeding = asyncio.create_task(feed.run(asyncio.Event()))
    is_served = asyncio.Event()
    reporting = asyncio.create_task(app.plane.reporter.run(is_served))
    await until_asked(stop, feeding, reporting)
    app.plane.is_draining = True
    if app.plane.in_flight:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await app.plane.empty.wait()
    await server.end(limit_s=LAST_BYTES_S)
    is_served.set()
    await reporting
    await app.plane.upstream.close()
    if parts.tracer is not None:
        await asyncio.to_thread(parts.tracer.close)
    feeding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await feeding  # what it did not foresee ends the process too: `up` starts another


async def until_asked(stop: asyncio.Event, *needed: "asyncio.Task[None]") -> None:
    """Wait for `stop`, or for the end of a task that is needed: a table that goes stale unseen serves the dead."""
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({stopped, *needed}, return_when=asyncio.FIRST_COMPLETED)
    if not stopped.done():
        _log.error("a task that the gateway needs has ended; ending too")
    stopped.cancel()
