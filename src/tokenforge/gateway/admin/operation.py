"""One operation of the API, declared once: its route, its handler, and what the OpenAPI document says of it."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.protocol.asgi import read_body
from tokenforge.protocol.openai_fields import read_whole_text

Handle = Callable[[Request], Awaitable[Response]]
MAX_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter in the query or a header, with its JSON schema."""

    name: str
    place: str
    schema: Mapping[str, object]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`answers` are statuses with what comes: a media type, or a JSON schema (a pydantic model or a mapping).

    `body` is a JSON schema likewise. `problems` are the statuses that come as problem details. `needs` is the scope a
    caller must have.
    """

    method: str
    path: str
    summary: str
    handle: Handle
    needs: str = "deploy"
    body: "type[BaseModel] | Mapping[str, object] | None" = None
    answers: Mapping[int, "str | type[BaseModel] | Mapping[str, object]"] = field(default_factory=dict)
    problems: tuple[int, ...] = ()
    parameters: tuple[Parameter, ...] = ()


async def json_body(request: Request) -> Mapping[str, object]:
    """The body as a JSON object. Raises InvalidInput, TooLarge, ClientGone."""
    return read_whole_text(await body_bytes(request))


async def body_bytes(request: Request) -> bytes:
    """The body within the limits of the admin side."""
    return await read_body(request.scope, request.receive, limit_bytes=MAX_BODY_BYTES)


def whole_number(request: Request, name: str, *, default: int, low: int, high: int) -> int:
    """A number of the query. Raises InvalidInput."""
    text = request.query_params.get(name)
    if text is None:
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not low <= number <= high:
        hint = f"write a number from {low} to {high}"
        raise InvalidInput([Fault(field=name, value=text[:40], message="is out of range", hint=hint)], source="query")
    return number


def flag(request: Request, name: str, *, default: bool) -> bool:
    """A boolean of the query. Raises InvalidInput."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if text not in {"true", "false"}:
        fault = Fault(field=name, value=text[:40], message="is not a boolean", hint="write true or false")
        raise InvalidInput([fault], source="query")
    return text == "true"


def json_answer(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return Response(text, status_code=status, media_type="application/json", headers=dict(headers or {}))
