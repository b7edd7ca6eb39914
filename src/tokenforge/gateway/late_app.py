"""The admin side, made when it is first asked: a gateway that only passes requests on neither loads nor keeps it.

Health is answered without it, because probes ask for nothing else.
"""

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp

from tokenforge.gateway.plane import DataPlane
from tokenforge.protocol.asgi import Receive, Scope, Send, send_whole

_READS = ("GET", "HEAD")


def health(path: str, *, is_draining: bool) -> tuple[int, bytes] | None:
    """Status and body of a path that tells health; None for any other."""
    if path == "/health/live":
        return 200, b'{"status": "live"}'
    if path == "/health/ready":
        return (503, b'{"status": "draining"}') if is_draining else (200, b'{"status": "ready"}')
    return None


@dataclass(slots=True, kw_only=True)
class LateApp:
    """An ASGI application. `make` gives the one behind it, and runs in a thread, so that no other request waits."""

    plane: DataPlane
    make: Callable[[], ASGIApp]
    _made: "asyncio.Future[ASGIApp] | None" = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        told = health(scope["path"], is_draining=self.plane.is_draining)
        if told is not None and scope["method"] in _READS:
            status, body = told
            await send_whole(send, body, status=status, headers={})
            return
        app = await self._app()
        await app(scope, receive, send)

    async def _app(self) -> ASGIApp:
        if self._made is None or (self._made.done() and self._made.exception() is not None):
            self._made = asyncio.ensure_future(asyncio.to_thread(self._load))
        return await asyncio.shield(self._made)

    def _load(self) -> ASGIApp:
        made = self.make()
        gc.freeze()
        return made
