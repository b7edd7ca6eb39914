"""A gateway on a real socket over a real store, and workers that answer as scripted."""

import asyncio
import io
import itertools
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from tokenforge.bench.benchmark_file import readable_formats
from tokenforge.domain.deployment import Autoscale, DeploymentId, DeploymentSpec
from tokenforge.domain.deployment_state import Condition, Observed, Phase, Replica, ReplicaPhase
from tokenforge.domain.generation import Capabilities, RuntimeInfo
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import Quant, RuntimeRef, parse_runtime
from tokenforge.gateway.admin.behind import AdminParts, open_admin
from tokenforge.gateway.admin.benchmarks import BenchmarkRoutes
from tokenforge.gateway.admin.metric_targets import TargetRoutes
from tokenforge.gateway.admin.run_files import RunFiles
from tokenforge.gateway.app import GatewayApp
from tokenforge.gateway.feed import RouteFeed
from tokenforge.gateway.http.limits import Limits
from tokenforge.gateway.server import GatewayParts, make_server, open_parts
from tokenforge.protocol.listening import bind
from tokenforge.runtimes.registry import find_plug
from tokenforge.store.base import Lease
from tokenforge.store.blobs.folder import FolderBlobs
from tokenforge.store.sql.store import Store, open_store
from tokenforge.telemetry.targets import TargetFiles
from tokenforge.telemetry.tracing.tracer import Tracer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
USAGE = {"prompt_tokens": 2, "completion_tokens": 2, "total_tokens": 4}


def event(value: object) -> bytes:
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def piece(text: str, finish: str | None = None) -> bytes:
    return event({"choices": [{"text": text, "finish_reason": finish}]})


GOOD = (piece("Hel"), piece("lo", "length"), event({"choices": [], "usage": USAGE}), event(b"[DONE]"))


def streaming(*parts: bytes, cut: bool = False) -> Handler:
    """A worker that streams `parts`; `cut`: then drops the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await asyncio.sleep(0.01)
        if cut and request.transport is not None:
            request.transport.abort()
        return response

    return answer


def refusing(status: int, *, code: str = "overloaded", retry_after: str = "3", param: str | None = None) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        del request
        error = {"message": "no", "type": "t", "param": param, "code": code}
        return web.json_response({"error": error}, status=status, headers={"retry-after": retry_after})

    return answer


async def dropping(request: web.Request) -> web.StreamResponse:
    """A worker that drops the connection before it answers."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@dataclass(slots=True)
class Hanging:
    """A worker that sends one piece and then nothing, and notes when its client has left."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(piece("first"))
        self.begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.gone.set()
        return response


@dataclass(slots=True)
class Rig:
    """The gateway at `url`, with a client.

    `is_warm`: it has a connection open to each replica, so requests go the short way, without a task.
    """

    url: str
    client: aiohttp.ClientSession
    store: Store
    app: GatewayApp
    feed: RouteFeed
    lease: Lease
    is_warm: bool = False
    runners: list[web.AppRunner] = field(default_factory=list)
    asked: list[tuple[str, bytes, dict[str, str]]] = field(default_factory=list)

    async def deploy(
        self,
        *handlers: Handler,
        runtime: str = "sim",
        model: str = "synthetic:tiny",
        autoscale: Autoscale | None = None,
    ) -> DeploymentId:
        """A deployment whose replicas are these workers; without any it is still loading."""
        number = len(await self.store.deployments.list())
        identity = DeploymentId(f"d{number}")
        spec = DeploymentSpec(
            name=f"d{number}", model=parse_model(model), runtime=parse_runtime(runtime),
            replicas=max(1, len(handlers)), autoscale=autoscale,
        )  # fmt: skip
        await self.store.deployments.create(spec, identity=identity, idempotency=None, is_name_chosen=True)
        replicas = tuple([await self._replica(f"{identity}-{n}", handler, spec) for n, handler in enumerate(handlers)])
        why = Condition(type="Ready", is_true=False, reason="Starting", message="it loads", since="")
        observed = Observed(
            generation=1,
            phase=Phase.READY if handlers else Phase.STARTING,
            replicas=replicas,
            conditions=() if handlers else (why,),
        )
        await self.store.observations.observe(identity, observed, lease=self.lease)
        await self.feed.refresh()
        return identity

    async def wake(self, identity: DeploymentId, handler: Handler) -> None:
        """Give it a first replica."""
        spec = (await self.store.deployments.get(identity)).spec
        replica = await self._replica(f"{identity}-woken", handler, spec)
        observed = Observed(generation=1, phase=Phase.READY, replicas=(replica,))
        await self.store.observations.observe(identity, observed, lease=self.lease)
        await self.feed.refresh()

    async def capacity(self, identity: DeploymentId, max_num_seqs: int) -> None:
        """Say that its replicas run so many sequences at once."""
        seen = (await self.store.deployments.get(identity)).observed
        smaller = tuple(replace(r, info=replace(r.info, max_num_seqs=max_num_seqs)) for r in seen.replicas if r.info)
        await self.store.observations.observe(identity, replace(seen, replicas=smaller), lease=self.lease)
        await self.feed.refresh()

    async def post(self, path: str, body: object, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, body (JSON where it is), headers."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.client.post(self.url + path, data=io.BytesIO(data), headers=headers) as answer:
            return answer.status, _body(await answer.read()), {k.lower(): v for k, v in answer.headers.items()}

    async def get(self, path: str, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Likewise."""
        async with self.client.get(self.url + path, headers=headers) as answer:
            return answer.status, _body(await answer.read()), {k.lower(): v for k, v in answer.headers.items()}

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so; 5 s at most."""
        async with asyncio.timeout(5.0):
            while not is_so():  # noqa: ASYNC110 - what is watched has no event
                await asyncio.sleep(0.01)

    async def _connect(self, url: str) -> None:
        upstream = self.app.plane.upstream
        origin = upstream._open_origin(url)
        connection = await upstream._connect(origin)
        connection.idle_since_s = connection.loop.time()
        origin.idle.append(connection)

    async def _replica(self, name: str, handler: Handler, spec: DeploymentSpec) -> Replica:
        async def noted(request: web.Request) -> web.StreamResponse:
            self.asked.append((name, await request.read(), {k.lower(): v for k, v in request.headers.items()}))
            return await handler(request)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", noted)
        runner = web.AppRunner(application, handler_cancellation=True)
        await runner.setup()
        self.runners.append(runner)
        listener = bind("127.0.0.1", 0)
        await web.SockSite(runner, listener).start()
        info = RuntimeInfo(
            runtime=spec.runtime.name, engine="twin", engine_version="1", model=str(spec.model), max_model_len=64,
            capabilities=Capabilities(), max_num_seqs=8,
        )  # fmt: skip
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if self.is_warm:
            await self._connect(url)
        return Replica(id=name, template=spec.template, phase=ReplicaPhase.READY, url=url, info=info)


@asynccontextmanager
async def gateway(
    folder: Path,
    *,
    is_loopback: bool = True,
    limits: Limits | None = None,
    hold_s: float = 60.0,
    tracer: Tracer | None = None,
    is_warm: bool = False,
) -> AsyncIterator[Rig]:
    """Serve one, with a store in `folder`."""
    store = open_store(folder / "store.db")
    lease = await store.leases.acquire("control", owner="test", ttl_s=600)
    assert lease is not None
    numbers = itertools.count()

    def quants(runtime: RuntimeRef) -> frozenset[Quant]:
        find_plug(runtime.name)
        return frozenset({Quant.FP32})

    admin_parts = AdminParts(
        deployments=store.deployments, events=store.events, quants=quants, most_replicas=8,
        read_log=lambda replica, lines: (f"{replica} said", "something")[-lines:],
        new_id=lambda: f"id-{next(numbers)}", keys=store.keys, random=os.urandom,
        now=lambda: "2026-01-01T00:00:00Z",
        more=(
            *BenchmarkRoutes(
                benchmarks=store.benchmarks, events=store.events, new_id=lambda: f"id-{next(numbers)}",
                formats=readable_formats(), check=lambda benchmark: None,
            files=RunFiles(kept=store.kept, blobs=FolderBlobs(folder / "artifacts")),
            ).operations(),
            *TargetRoutes(deployments=store.deployments, files=TargetFiles(folder / "targets")).operations(),
        ),
    )  # fmt: skip
    parts = GatewayParts(
        deployments=store.deployments, observations=store.observations, keys=store.keys, random=os.urandom,
        is_loopback=is_loopback, demands=store.demands, hold_s=hold_s, tracer=tracer,
        admin=lambda plane, refresh: open_admin(admin_parts, plane, refresh),
    )  # fmt: skip
    app, feed = open_parts(parts)
    await feed.refresh()
    server = make_server(app, limits=limits or Limits())
    listener = bind("127.0.0.1", 0)
    await server.start(listener)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with aiohttp.ClientSession() as client:
        rig = Rig(url=url, client=client, store=store, app=app, feed=feed, lease=lease, is_warm=is_warm)
        try:
            yield rig
        finally:
            for runner in rig.runners:
                await runner.cleanup()
            await server.end(limit_s=1.0)
            await app.plane.upstream.close()
            await store.close()


def _body(received: bytes) -> Any:
    try:
        return json.loads(received)
    except ValueError:
        return received
