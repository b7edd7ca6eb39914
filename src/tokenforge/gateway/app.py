"""The gateway's one door: the hot routes to the data plane, everything else to the admin side behind it."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp

from tokenforge.gateway.http.asgi import answer_by
from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.plane import DataPlane, Passage
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
        head, plane = exchange.head, self.plane
        if head.method == "POST" and (head.path in plane.handlers or plane.owns(head.path, head.method)):
            return plane.open(exchange)
        return _ADMIN_BODY_BYTES

    def answer_now(self, exchange: Exchange) -> bool:
        """Whether callbacks answer it."""
        passage = exchange.work
        if not isinstance(passage, Passage) or passage.trace is not None:
            return False
        quick = self.plane.quick.get(passage.path)
        return quick is not None and quick(self.plane, passage)

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        if isinstance(exchange.work, Passage):
            await self.plane.answer(exchange.work)
            return
        identity = request_id(exchange.scope, otherwise="") or self.new_id()
        await answer_by(self.admin, exchange, lines=b"x-request-id: %b\r\n" % identity.encode("latin-1"))

    def left(self, exchange: Exchange) -> None:
        """It is over, admitted or not."""
        passage = exchange.work
        if isinstance(passage, Passage):
            exchange.work = None  # each knew the other: now their memory is free at once
            self.plane.left(passage)
        else:
            self.plane.guard.leave(exchange.scope)
