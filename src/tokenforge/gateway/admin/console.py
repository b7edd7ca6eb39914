"""`/`: the console, and what it needs beside the API: the metrics of one replica, asked through the gateway."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from tokenforge.console.files import HEADERS, PAGE, console_files
from tokenforge.domain.api_key import READ
from tokenforge.domain.errors import NotFound, NotReady
from tokenforge.gateway.admin.operation import Operation
from tokenforge.gateway.routing import Endpoint, RouteTable
from tokenforge.gateway.upstream import Upstream
from tokenforge.gateway.upstream_answer import UpstreamFailed

METRICS_LIMIT_S = 2.0
"""How long a replica may take to tell its metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleRoutes:
    """`table` is the routing table of now."""

    upstream: Upstream
    table: Callable[[], RouteTable]

    def operations(self) -> tuple[Operation, ...]:
        """What is offered."""
        return (
            Operation(
                method="GET", path="/", summary="The console", handle=self.page, needs="", answers={200: "text/html"}
            ),
            Operation(
                method="GET", path="/console/{name}", summary="A file of the console", handle=self.file, needs="",
                answers={200: "text/css"}, problems=(404,),
            ),
            Operation(
                method="GET", path="/deployments/{id}/replicas/{replica}/metrics",
                summary="The metrics of one replica, as it tells them", handle=self.metrics, needs=READ,
                answers={200: "text/plain"}, problems=(404, 503),
            ),
        )  # fmt: skip

    async def page(self, request: Request) -> Response:
        """The page itself."""
        del request
        return _file(PAGE)

    async def file(self, request: Request) -> Response:
        """Its style and scripts."""
        return _file(str(request.path_params["name"]))

    async def metrics(self, request: Request) -> Response:
        """One replica's page. Raises NotFound, NotReady."""
        endpoint = self._find(str(request.path_params["id"]), str(request.path_params["replica"]))
        try:
            async with asyncio.timeout(METRICS_LIMIT_S):
                answer = await self.upstream.ask(endpoint.url, "/metrics", body=b"", headers=b"", method=b"GET")
                try:
                    body = await answer.whole()
                    if answer.status != HTTPStatus.OK:
                        raise UpstreamFailed(f"it answered HTTP {answer.status}")
                finally:
                    answer.close()
        except (UpstreamFailed, TimeoutError) as error:
            cause = str(error) or f"no answer within {METRICS_LIMIT_S:g} s"
            raise NotReady(f"replica {endpoint.id} did not tell its metrics: {cause}", retry_after_s=1.0) from None
        return Response(body, headers={"content-type": CONTENT_TYPE_LATEST})

    def _find(self, deployment: str, replica: str) -> Endpoint:
        for served in self.table().all():
            if deployment in (served.id, served.name):
                for endpoint in served.endpoints:
                    if endpoint.id == replica:
                        return endpoint
        hint = "GET /deployments lists replicas; one that is not ready tells nothing yet"
        raise NotFound(f"deployment {deployment[:80]!r} has no ready replica {replica[:80]!r}", hint=hint)


def _file(name: str) -> Response:
    file = console_files().get(name)
    if file is None:
        raise NotFound(f"the console has no file {name[:80]!r}", hint="GET / is the console")
    return Response(file.body, media_type=file.media_type, headers=HEADERS)
