"""The life of a gateway process: bind, read the table, serve, drain, end."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from tokenforge.gateway.admin.app import admin_app
from tokenforge.gateway.admin.deployments import DeploymentRoutes, ReadLog
from tokenforge.gateway.admin.hot_operations import HotReads
from tokenforge.gateway.admin.keys import KeyRoutes
from tokenforge.gateway.admin.openapi import openapi_document
from tokenforge.gateway.admin.operation import Operation
from tokenforge.gateway.app import GatewayApp
from tokenforge.gateway.feed import RouteFeed
from tokenforge.gateway.guard import KeyRing
from tokenforge.gateway.infer_route import infer_route
from tokenforge.gateway.openai_routes import PATHS, openai_route
from tokenforge.gateway.plane import DataPlane
from tokenforge.gateway.routing import Router
from tokenforge.gateway.upstream import Upstream
from tokenforge.protocol.deploy import CheckArgs, Quants, any_args
from tokenforge.protocol.serving import make_server
from tokenforge.store.base import Deployments, Events, Keys, Observations
from tokenforge.telemetry.gateway_metrics import GatewayMetrics

_log = logging.getLogger(__name__)

DRAIN_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayParts:
    """What a gateway is made of that comes from outside. `more` are further operations (benchmarks).

    `random` gives so many bytes of chance, `now` is RFC 3339; `is_loopback`: it cannot be reached from elsewhere.
    """

    deployments: Deployments
    observations: Observations
    events: Events
    quants: Quants
    most_replicas: int
    read_log: ReadLog
    new_id: Callable[[], str]
    keys: Keys
    random: Callable[[int], bytes]
    now: Callable[[], str]
    is_loopback: bool
    more: tuple[Operation, ...] = ()
    check_args: CheckArgs = any_args


def open_parts(parts: GatewayParts) -> tuple[GatewayApp, RouteFeed]:
    """The application, and what keeps its table fresh."""
    router = Router(clock=time.monotonic)
    ring = KeyRing(clock=time.monotonic, is_loopback=parts.is_loopback)
    feed = RouteFeed(parts.deployments, parts.observations, router)
    feed.also(parts.keys, ring)
    plane = DataPlane(
        router=router,
        upstream=Upstream(),
        guard=ring,
        metrics=GatewayMetrics(CollectorRegistry()),
        refresh=feed.refresh,
        handlers={"/infer": infer_route, **dict.fromkeys(PATHS, openai_route)},
    )
    deployments = DeploymentRoutes(
        deployments=parts.deployments, events=parts.events, new_id=parts.new_id, quants=parts.quants,
        most_replicas=parts.most_replicas, read_log=parts.read_log, check_args=parts.check_args,
    )  # fmt: skip
    reads = HotReads(plane=plane, document=lambda: openapi_document(operations))
    keys = KeyRoutes(keys=parts.keys, random=parts.random, now=parts.now, refresh=feed.refresh)
    operations = (*deployments.operations(), *keys.operations(), *parts.more, *reads.operations())
    admin = admin_app(operations, guard=ring)
    app = GatewayApp(plane=plane, admin=admin, new_id=lambda: uuid.uuid4().hex)
    return app, feed


async def serve(parts: GatewayParts, *, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT, then let requests in flight end within `DRAIN_S`."""
    app, feed = open_parts(parts)
    await feed.refresh()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = make_server(app)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    feeding = asyncio.create_task(feed.run(asyncio.Event()))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopped}, return_when=asyncio.FIRST_COMPLETED)
    app.plane.is_draining = True
    if app.plane.in_flight:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await app.plane.empty.wait()
    server.should_exit = True
    await serving
    feeding.cancel()
    stopped.cancel()
    await app.plane.upstream.close()
