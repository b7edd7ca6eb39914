"""A page of metrics for a process that serves nothing else: `/metrics` and `/health/live`, and that is all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry

from tokenforge.protocol.asgi import Receive, Scope, Send, send_whole
from tokenforge.protocol.listening import bind
from tokenforge.protocol.serving import make_server
from tokenforge.telemetry.page import read_page


@contextlib.asynccontextmanager
async def metrics_served(registry: CollectorRegistry, *, host: str, port: int) -> AsyncIterator[str]:
    """Serve while the block lasts; gives the address. Raises PortInUse. Port 0 takes a free one."""
    listener = bind(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"{shown}:{listener.getsockname()[1]}"

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        path, is_read = scope["path"], scope["method"] in ("GET", "HEAD")
        if path == "/metrics" and is_read:
            await send_whole(send, read_page(registry), content_type=CONTENT_TYPE_LATEST, headers={})
        elif path == "/health/live" and is_read:
            await send_whole(send, b'{"status": "live"}', headers={})
        else:
            text = b"only /metrics and /health/live are here\n"
            await send_whole(send, text, status=404, content_type="text/plain", headers={})

    server = make_server(answer)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield address
    finally:
        server.should_exit = True
        await serving
