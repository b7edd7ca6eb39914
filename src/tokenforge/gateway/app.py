"""The gateway's one door: the hot routes to the data plane, everything else to the admin side behind it."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp

from tokenforge.gateway.http.asgi import answer_by
from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.plane import DataPlane
from tokenforge.protocol.asgi import request_id

_ADMIN_BODY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayApp:
    """What a gateway process serves. Every answer carries `x-request-id`."""

    plane: DataPlane
    admin: ASGIApp
    new_id: Callable[[], str]

    def open(self, exchange: Exchange) -> int:
        """How large its body may be. Raises TokenForgeError when it may not be."""
        return self.plane.open(exchange) if self._is_hot(exchange) else _ADMIN_BODY_BYTES

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        if self._is_hot(exchange):
            await self.plane.answer(exchange)
            return
        identity = request_id(exchange.scope, otherwise=self.new_id()).encode("latin-1")
        await answer_by(self.admin, exchange, headers=((b"x-request-id", identity),))

    def left(self, exchange: Exchange) -> None:
        """It is over, admitted or not."""
        if self._is_hot(exchange):
            self.plane.left(exchange)
        self.plane.guard.leave(exchange.scope)

    def _is_hot(self, exchange: Exchange) -> bool:
        return self.plane.owns(exchange.scope["path"], exchange.scope["method"])
