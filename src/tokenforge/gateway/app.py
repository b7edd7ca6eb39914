"""The gateway's one door: the hot routes to the data plane, everything else to the admin side behind it."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp

from tokenforge.gateway.plane import DataPlane
from tokenforge.protocol.asgi import Message, Receive, Scope, Send, request_id


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayApp:
    """The ASGI application of a gateway process. Every answer carries `x-request-id`."""

    plane: DataPlane
    admin: ASGIApp
    new_id: Callable[[], str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        identity = request_id(scope, otherwise=self.new_id())
        try:
            await self._answer(scope, receive, send, identity)
        finally:
            self.plane.guard.leave(scope)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, identity: str) -> None:
        if self.plane.owns(scope["path"], scope["method"]):
            await self.plane.answer(scope, receive, send, request_id=identity)
            return
        named = (b"x-request-id", identity.encode("latin-1"))

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), named]}
            await send(message)

        await self.admin(scope, receive, send_named)
