"""The little of HTTP that a hot path needs, on raw ASGI: read a body within limits, send an answer, see a client go."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any, TypeVar

from tokenforge.domain.errors import Fault, InvalidInput, TooLarge

T = TypeVar("T")
Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

FIELDS = "tokenforge.fields"
"""Where our own server keeps a request's headers by lower-case name, the first of each."""

MAX_BODY_BYTES = 16 * 1024 * 1024
BODY_LIMIT_S = 30.0
_FIT_ID = re.compile("[!-~]{1,128}")


class ClientGone(Exception):
    """The client left before its request was whole; nobody is there to be answered."""


async def read_body(scope: Scope, receive: Receive, *, limit_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The whole body. Raises TooLarge beyond `limit_bytes`, InvalidInput when it comes too slowly, ClientGone."""
    said = header(scope, b"content-length")
    if said.isdigit() and int(said) > limit_bytes:
        raise _too_large(int(said), limit_bytes)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limit_bytes:
                    raise _too_large(size, limit_bytes)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        message_text = f"was not whole after {BODY_LIMIT_S:g} s"
        fault = Fault(field="body", value=f"{size} bytes", message=message_text, hint="send it faster")
        raise InvalidInput([fault], source="request body") from None


async def until_gone(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(work: Coroutine[object, object, T], receive: Receive) -> T | None:
    """Do the work while the client is there; None when it left, and then the work was cancelled and has ended."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(until_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        return None if task.cancelled() else task.result()
    finally:
        gone.cancel()
        task.cancel()


async def send_head(send: Send, *, status: int, content_type: str, headers: Mapping[str, str]) -> None:
    """Send the status line and headers; the body follows."""
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    start = {"type": "http.response.start", "status": status}
    await send({**start, "headers": [(b"content-type", content_type.encode()), *pairs]})


async def send_whole(
    send: Send, body: bytes, *, status: int = 200, content_type: str = "application/json", headers: Mapping[str, str]
) -> None:
    """Send a whole answer."""
    length = {"content-length": str(len(body))}
    await send_head(send, status=status, content_type=content_type, headers={**headers, **length})
    await send({"type": "http.response.body", "body": body})


def header(scope: Scope, name: bytes) -> str:
    """The first header of that (lower-case) name, or an empty string."""
    if FIELDS in scope:
        said: bytes | None = scope[FIELDS].get(name)
        return "" if said is None else said.decode("latin-1")
    value: bytes = next((value for key, value in scope["headers"] if key == name), b"")
    return value.decode("latin-1")


def request_id(scope: Scope, *, otherwise: str) -> str:
    """The caller's x-request-id when it is short and printable, so that it can stand in logs and headers."""
    said = header(scope, b"x-request-id")
    return said if said and _FIT_ID.fullmatch(said) else otherwise


def _too_large(size: int, limit: int) -> TooLarge:
    return TooLarge(f"the request body has {size} bytes or more, {limit} are allowed", hint="send a shorter prompt")
