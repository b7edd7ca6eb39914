"""The Idempotency-Key header: one request, however often it is sent."""

import hashlib

from starlette.requests import Request

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.gateway.admin.operation import Parameter
from tokenforge.store.base import IdempotencyKey

_HEADER = "idempotency-key"
_MAX_CHARS = 255

PARAMETER = Parameter(
    name="Idempotency-Key",
    place="header",
    schema={"type": "string", "minLength": 1, "maxLength": _MAX_CHARS},
    text="any text that names this request; sent again with the same body it gives the same answer",
)


def idempotency_key(request: Request, body: bytes) -> IdempotencyKey | None:
    """The key, None without one. It is one of this path: another path may use the same. Raises InvalidInput."""
    said = request.headers.get(_HEADER)
    if said is None:
        return None
    if not 0 < len(said) <= _MAX_CHARS or not said.isprintable():
        hint = f"send 1 to {_MAX_CHARS} printable characters"
        fault = Fault(field="Idempotency-Key", value=said[:40], message="cannot be used", hint=hint)
        raise InvalidInput([fault], source="header")
    key = f"{request.method} {request.url.path} {said}"
    return IdempotencyKey(key=key, body_sha256=hashlib.sha256(body).hexdigest())
