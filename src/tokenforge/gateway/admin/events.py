"""What happened to a deployment or a run, as server-sent events that go on while one listens."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tokenforge.gateway.admin.operation import Parameter, flag
from tokenforge.store.base import Event, Events

_POLL_S = 0.25
_COMMENT_EVERY = 60
_PAGE = 200

PARAMETERS = (
    Parameter(
        name="follow",
        place="query",
        schema={"type": "boolean", "default": True},
        text="false: what happened until now, and no more",
    ),
    Parameter(
        name="Last-Event-ID",
        place="header",
        schema={"type": "string"},
        text="the id of the last event that was seen; what came after it is sent",
    ),
)


def events_answer(
    request: Request, events: Events, subject: str, *, is_over: Callable[[], Awaitable[bool]]
) -> Response:
    """The events of `subject` from where the client was; it ends when nothing more can come."""
    said = request.headers.get("last-event-id", "")
    seq = int(said) if said.isascii() and said.isdigit() and len(said) < 18 else 0
    follow = flag(request, "follow", default=True)
    stream = _stream(events, subject, seq=seq, follow=follow, is_over=is_over)
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _stream(
    events: Events, subject: str, *, seq: int, follow: bool, is_over: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    quiet = 0
    while True:
        is_last = not follow or await is_over()
        page = await events.after(subject, seq=seq, limit=_PAGE)
        for event in page:
            seq = event.seq
            yield _bytes(event)
        if is_last and len(page) < _PAGE:
            return
        if page:
            quiet = 0
            continue
        quiet += 1
        if quiet % _COMMENT_EVERY == 0:
            yield b": still here\n\n"
        await asyncio.sleep(_POLL_S)


def _bytes(event: Event) -> bytes:
    data = {"at": event.at, "reason": event.reason, "message": event.message}
    return f"id: {event.seq}\nevent: {event.reason}\ndata: {json.dumps(data)}\n\n".encode()
