"""An ASGI application behind the same port: one exchange as a scope, `receive` and `send`."""

from starlette.types import ASGIApp

from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.http.head import Head
from tokenforge.protocol.asgi import Message, Scope


async def answer_by(app: ASGIApp, exchange: Exchange, *, lines: bytes) -> None:
    """Let `app` answer; `lines` are added to its headers."""
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
            _begin(exchange, message, lines)
        elif message["type"] == "http.response.body":
            exchange.write(message.get("body", b""))
            if not message.get("more_body", False):
                exchange.end()
            await exchange.drained()

    exchange.scope.update(_scope(exchange.head), headers=exchange.headers)
    await app(exchange.scope, receive, send)


def _scope(head: Head) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": head.version,
        "method": head.method,
        "scheme": "http",
        "path": head.path,
        "raw_path": head.raw_path,
        "query_string": head.query,
        "root_path": "",
        "server": None,
        "client": None,
    }


def _begin(exchange: Exchange, message: Message, lines: bytes) -> None:
    length: int | None = None
    for name, value in message.get("headers", ()):
        if name.lower() == b"content-length":
            length = int(value)
        else:
            lines += b"%b: %b\r\n" % (name, value)
    exchange.begin(message["status"], lines, length=length)
