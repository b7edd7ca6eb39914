"""An API server in memory, over real HTTP on loopback: what `make test-k8s` asks of a real one, asked of this one too.

It can be broken as the real one breaks: watches cut, versions forgotten, the whole server away for a while.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web
from kube_store import JsonObject, Key, KubeStore, Refusal, matches

SERVED: dict[str, tuple[str, ...]] = {
    "v1": ("pods", "services", "events", "nodes", "resourcequotas", "namespaces"),
    "apps/v1": ("deployments",),
    "batch/v1": ("jobs",),
    "policy/v1": ("poddisruptionbudgets",),
    "autoscaling/v2": ("horizontalpodautoscalers",),
    "networking.k8s.io/v1": ("networkpolicies",),
    "monitoring.coreos.com/v1": ("podmonitors",),
    "leaderworkerset.x-k8s.io/v1": ("leaderworkersets",),
}
_BOOKMARK_S = 1.0


class KubeServer:
    """`admit` may raise Refusal for an object that is about to be written. `requests` counts by method and path.

    `absent` are versions of kinds that this server does not know, `forbidden` collections that nobody may touch.
    `too_new`: it says of every version that it has not come to it yet, as one does whose watch cache is younger than
    its answers were. `metrics` are those of pods that an adapter serves: None for no adapter, an empty tuple for one
    that is down.
    """

    def __init__(self, store: KubeStore, *, bookmark_s: float = _BOOKMARK_S) -> None:
        self.store = store
        self.bookmark_s = bookmark_s
        self.admit: Callable[[JsonObject], None] = lambda _: None
        self.requests: list[tuple[str, str]] = []
        self.watches = 0
        self.absent: set[str] = set()
        self.forbidden: set[str] = set()
        self.too_new = False
        self.metrics: tuple[str, ...] | None = None
        self.is_failing = False
        self.port = 0
        self._watchers: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; after a stop at the same port as before."""
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Away, all connections with it."""
        self.cut_watches()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def cut_watches(self) -> None:
        """Every watch ends in the middle."""
        for task in list(self._watchers):
            task.cancel()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        try:
            if self.is_failing:
                raise Refusal(500, "InternalError", "etcdserver: request timed out")
            return await self._dispatch(request)
        except Refusal as refusal:
            return web.json_response(refusal.body(), status=refusal.status)

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/version":
            return web.json_response({"major": "1", "minor": "36"})
        version, namespace, plural, name, sub = _parsed(request.path)
        if version == "custom.metrics.k8s.io/v1beta1" and self.metrics is not None:
            return self._metrics()
        if version not in SERVED or version in self.absent:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        if not plural:
            return web.json_response({"kind": "APIResourceList", "resources": [{"name": n} for n in SERVED[version]]})
        collection = f"{version}/{plural}"
        if collection in self.forbidden:
            raise Refusal(403, "Forbidden", f'{plural} is forbidden: User "u" cannot list resource "{plural}"')
        if not name:
            return await self._on_collection(request, collection, namespace)
        key = (collection, namespace, name)
        if request.method == "GET":
            return web.json_response(self.store.get(key))
        if request.method == "DELETE":
            return await self._delete(request, key)
        return await self._write(request, key, is_status=sub == "status")

    def _metrics(self) -> web.Response:
        """What an adapter of metrics serves; without any it is down, as far as this server can tell."""
        if not self.metrics:
            return web.Response(status=503, text="service unavailable")
        kinds = [{"name": f"{of}/{name}"} for name in self.metrics for of in ("pods", "namespaces")]
        return web.json_response({"kind": "APIResourceList", "resources": kinds})

    async def _on_collection(self, request: web.Request, collection: str, namespace: str) -> web.StreamResponse:
        if request.query.get("watch") == "true":
            return await self._watch(request, collection, namespace)
        if request.method == "POST":
            value = await request.json()
            self.admit(value)
            made = self.store.create((collection, namespace, value["metadata"]["name"]), value, manager="test")
            return web.json_response(made, status=201)
        return self._list(request, collection, namespace)

    def _list(self, request: web.Request, collection: str, namespace: str) -> web.Response:
        """Page by page; the place of the next one is its number."""
        taken = [v for _, v in self.store.list(collection, namespace or None) if _is_asked(request, v)]
        start = int(request.query.get("continue", "0"))
        limit = int(request.query.get("limit", "0")) or len(taken) or 1
        meta = {"resourceVersion": str(self.store.version)}
        if start + limit < len(taken):
            meta["continue"] = str(start + limit)
        body = {"kind": "List", "apiVersion": "v1", "metadata": meta, "items": taken[start : start + limit]}
        return web.json_response(body)

    async def _delete(self, request: web.Request, key: Key) -> web.Response:
        options = await request.json() if request.can_read_body else {}
        grace = options.get("gracePeriodSeconds")
        propagation = options.get("propagationPolicy", "Background")
        return web.json_response(self.store.delete(key, grace_s=grace, propagation=propagation))

    async def _write(self, request: web.Request, key: Key, *, is_status: bool) -> web.Response:
        value = await request.json()
        if is_status:
            return web.json_response(self.store.patch_status(key, value.get("status", {})))
        manager = request.query.get("fieldManager", "test")
        if request.method == "PUT":
            return web.json_response(self.store.replace(key, value, manager=manager))
        if request.content_type != "application/apply-patch+yaml":
            raise Refusal(415, "UnsupportedMediaType", f"cannot take {request.content_type}")
        if not request.query.get("fieldManager"):
            raise Refusal(422, "Invalid", "fieldManager: Required value: is required for apply patch")
        self.admit(value)
        is_forced, is_dry = request.query.get("force") == "true", "dryRun" in request.query
        return web.json_response(self.store.apply(key, value, manager=manager, is_forced=is_forced, is_dry=is_dry))

    async def _watch(self, request: web.Request, collection: str, namespace: str) -> web.StreamResponse:
        if self.too_new:
            raise Refusal(504, "Timeout", f"Timeout: Too large resource version: {self.store.version}, current: 7")
        answer = web.StreamResponse(headers={"content-type": "application/json"})
        await answer.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._watchers.add(task)
        self.watches += 1
        try:
            async with asyncio.timeout(float(request.query.get("timeoutSeconds", "60"))):
                await self._feed(request, answer, collection, namespace)
        except TimeoutError:
            await answer.write_eof()
        finally:
            self._watchers.discard(task)
        return answer

    async def _feed(self, request: web.Request, answer: web.StreamResponse, collection: str, namespace: str) -> None:
        version = int(request.query["resourceVersion"])
        while True:
            news = self.store.news
            try:
                events = list(self.store.since(version, collection))
            except Refusal as refusal:
                await answer.write(json.dumps({"type": "ERROR", "object": refusal.body()}).encode() + b"\n")
                return
            for number, kind, value in events:
                version = number
                if _is_asked(request, value) and namespace in ("", value["metadata"].get("namespace")):
                    await answer.write(json.dumps({"type": kind, "object": value}).encode() + b"\n")
            try:
                async with asyncio.timeout(self.bookmark_s):
                    await news.wait()
            except TimeoutError:
                version = self.store.version
                mark = {"metadata": {"resourceVersion": str(version)}}
                await answer.write(json.dumps({"type": "BOOKMARK", "object": mark}).encode() + b"\n")


def _is_asked(request: web.Request, value: JsonObject) -> bool:
    return matches(value, labels=request.query.get("labelSelector", ""), fields=request.query.get("fieldSelector", ""))


def _parsed(path: str) -> tuple[str, str, str, str, str]:
    """Version, namespace, plural, name, subresource; empty where the path has none."""
    parts = [part for part in path.split("/") if part]
    if not parts or parts[0] not in ("api", "apis"):
        return "", "", "", "", ""
    count = 2 if parts[0] == "api" else 3
    version, rest = "/".join(parts[1:count]), parts[count:]
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, sub = (*rest, "", "", "")[:3]
    return version, namespace, plural, name, sub
