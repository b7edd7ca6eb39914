"""All of the admin side put together, for the gateway whose table, keys and counters it shows."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.types import ASGIApp

from tokenforge.gateway.admin.app import admin_app
from tokenforge.gateway.admin.console import ConsoleRoutes
from tokenforge.gateway.admin.deployments import DeploymentRoutes, ReadLog
from tokenforge.gateway.admin.hot_operations import HotReads
from tokenforge.gateway.admin.keys import KeyRoutes
from tokenforge.gateway.admin.openapi import openapi_document
from tokenforge.gateway.admin.operation import Operation
from tokenforge.gateway.plane import DataPlane
from tokenforge.protocol.deploy import CheckArgs, ClusterOffer, Quants, any_args
from tokenforge.store.base import Deployments, Events, Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminParts:
    """What it is made of that comes from outside. `more` are further operations (benchmarks).

    `random` gives so many bytes of chance, `now` is RFC 3339.
    """

    deployments: Deployments
    events: Events
    quants: Quants
    most_replicas: int
    read_log: ReadLog
    new_id: Callable[[], str]
    keys: Keys
    random: Callable[[int], bytes]
    now: Callable[[], str]
    more: tuple[Operation, ...] = ()
    check_args: CheckArgs = any_args
    cluster: ClusterOffer | None = None


def open_admin(parts: AdminParts, plane: DataPlane, refresh: Callable[[], Awaitable[None]]) -> ASGIApp:
    """The application; `refresh` brings the gateway's tables up to date."""
    deployments = DeploymentRoutes(
        deployments=parts.deployments, events=parts.events, new_id=parts.new_id, quants=parts.quants,
        most_replicas=parts.most_replicas, read_log=parts.read_log, check_args=parts.check_args,
        cluster=parts.cluster,
    )  # fmt: skip
    reads = HotReads(plane=plane, document=lambda: openapi_document(operations))
    keys = KeyRoutes(keys=parts.keys, random=parts.random, now=parts.now, refresh=refresh)
    console = ConsoleRoutes(upstream=plane.upstream, table=lambda: plane.router.table)
    operations = (
        *deployments.operations(), *keys.operations(), *parts.more, *reads.operations(), *console.operations()
    )  # fmt: skip
    return admin_app(operations, guard=plane.guard)
