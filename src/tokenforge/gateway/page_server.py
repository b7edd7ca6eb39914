"""The gateway's own page of metrics, on a port of its own, by its own server: it loads nothing more for it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry

from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.http.server import HttpServer
from tokenforge.protocol.listening import bind
from tokenforge.telemetry.page import read_page

_READS = ("GET", "HEAD")
_LAST_BYTES_S = 1.0


class PageApp:
    """Answers `/metrics` and `/health/live`, and that is all."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def open(self, exchange: Exchange) -> int:
        """Nobody sends it anything."""
        del exchange
        return 0

    def answer_now(self, exchange: Exchange) -> bool:
        """It is whole at once, but by a task like any other."""
        del exchange
        return False

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        path = exchange.head.path if exchange.head.method in _READS else ""
        if path == "/metrics":
            kind, status, body = CONTENT_TYPE_LATEST, 200, read_page(self._registry)
        elif path == "/health/live":
            kind, status, body = "application/json", 200, b'{"status": "live"}'
        else:
            kind, status, body = "text/plain", 404, b"only /metrics and /health/live are here\n"
        exchange.whole(status, f"content-type: {kind}\r\n".encode(), body)

    def left(self, exchange: Exchange) -> None:
        """Nothing is counted."""
        del exchange


@contextlib.asynccontextmanager
async def page_served(registry: CollectorRegistry, *, host: str, port: int) -> AsyncIterator[str]:
    """Serve while the block lasts; gives the address. Raises PortInUse. Port 0 takes a free one."""
    listener = bind(host, port)
    shown = f"[{host}]" if ":" in host else host
    server = HttpServer(PageApp(registry), new_id=lambda: "", clock=time.monotonic, wall_s=time.time)
    await server.start(listener)
    try:
        yield f"{shown}:{listener.getsockname()[1]}"
    finally:
        await asyncio.shield(server.end(limit_s=_LAST_BYTES_S))
