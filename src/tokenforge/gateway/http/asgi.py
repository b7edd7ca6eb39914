"""An ASGI application behind the same port: one exchange as a scope, `receive` and `send`."""

from starlette.types import ASGIApp

from tokenforge.gateway.http.exchange import Exchange
from tokenforge.protocol.asgi import Message


async def answer_by(app: ASGIApp, exchange: Exchange, *, headers: tuple[tuple[bytes, bytes], ...]) -> None:
    """Let `app` answer; `headers` are added to its own."""
    is_asked = False

    async def receive() -> Message:
        nonlocal is_asked
        if not is_asked:
            is_asked = True
            return {"type": "http.request", "body": exchange.body, "more_body": False}
        await exchange.gone()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            _begin(exchange, message, headers)
        elif message["type"] == "http.response.body":
            exchange.write(message.get("body", b""))
            if not message.get("more_body", False):
                exchange.end()
            await exchange.drained()

    await app(exchange.scope, receive, send)


def _begin(exchange: Exchange, message: Message, more: tuple[tuple[bytes, bytes], ...]) -> None:
    length: int | None = None
    pairs: list[tuple[bytes, bytes]] = []
    for name, value in message.get("headers", ()):
        if name.lower() == b"content-length":
            length = int(value)
        else:
            pairs.append((name, value))
    exchange.begin(message["status"], (*pairs, *more), length=length)
