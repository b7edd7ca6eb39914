"""From an error to an HTTP answer: one table, and the two body shapes (OpenAI's and problem details).

The nearest class in an error's own line of descent decides, so a new kind of error inherits its parent's status. An
error that is none of ours becomes a 500 that says nothing of its inside.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenforge.domain import errors

STATUS: Mapping[type[errors.TokenForgeError], int] = {
    errors.InvalidInput: 400,
    errors.InvalidRequest: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.PortInUse: 409,
    errors.AlreadyExists: 409,
    errors.AlreadyOver: 409,
    errors.RunInterrupted: 409,
    errors.TooLarge: 413,
    errors.KeyReused: 422,
    errors.Overloaded: 429,
    errors.EngineError: 500,
    errors.TargetUnreachable: 502,
    errors.NotReady: 503,
    errors.EngineDead: 503,
    errors.WorkerFailed: 503,
    errors.StoreUnavailable: 503,
    errors.DeadlineExceeded: 504,
    errors.TokenForgeError: 500,
}
"""The only place where a kind of error gets its status."""

_MOST_EXACT = 2**63
_MAX_SHOWN = 80
_REALM = 'Bearer realm="tokenforge"'
_TITLES = {
    400: "Bad request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Too large",
    414: "Target too long",
    417: "Expectation failed",
    422: "Unprocessable",
    429: "Too many requests",
    431: "Headers too large",
    501: "Not implemented",
    503: "Not ready",
    504: "Deadline exceeded",
    505: "HTTP version not supported",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as HTTP: its status, extra headers (Retry-After), and what both bodies are made of."""

    status: int
    code: str
    message: str
    param: str | None = None
    faults: tuple[errors.Fault, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status in words."""
        return _TITLES.get(self.status, "Server error")

    def shaped(self, path: str) -> tuple[str, bytes]:
        """Media type and body as clients of that path read them."""
        if speaks_openai(path):
            return "application/json", self.openai_body()
        return "application/problem+json", self.problem_body()

    @property
    def openai_type(self) -> str:
        """OpenAI's coarse kind of an error."""
        if self.status == 429:
            return "rate_limit_error"
        return "invalid_request_error" if self.status < 500 else "server_error"

    def openai_body(self) -> bytes:
        """`{"error": {message, type, param, code}}`."""
        error = {
            "message": _text(self.message),
            "type": self.openai_type,
            "param": None if self.param is None else _text(self.param),
            "code": self.code,
        }
        return json.dumps({"error": error}).encode()

    def problem_body(self) -> bytes:
        """RFC 9457 problem details, with each fault on its own."""
        body: dict[str, object] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "detail": _text(self.message),
            "code": self.code,
        }
        if self.faults:
            body["errors"] = [_fault_body(fault) for fault in self.faults]
        return json.dumps(body).encode()


def speaks_openai(path: str) -> bool:
    """Whether errors of this path have OpenAI's shape: its API, of all deployments or of one."""
    return path.startswith("/v1/") or (path.startswith("/deployments/") and "/v1/" in path)


def problem_of(error: BaseException) -> Problem:
    """How `error` is answered."""
    if not isinstance(error, errors.TokenForgeError):
        return Problem(
            status=500, code="internal", message="The server failed in a way it did not foresee; see its log."
        )
    faults = error.faults if isinstance(error, errors.InvalidInput) else ()
    return Problem(
        status=status_of(type(error)),
        code=error.code,
        message="; ".join(str(fault) for fault in faults) if faults else str(error),
        param=_param(error),
        faults=faults,
        headers=_headers(error),
    )


def status_of(kind: type[errors.TokenForgeError]) -> int:
    """The status of a kind of error: its own, or its nearest ancestor's."""
    return next(STATUS[ancestor] for ancestor in kind.__mro__ if ancestor in STATUS)


def _param(error: errors.TokenForgeError) -> str | None:
    if isinstance(error, errors.InvalidInput) and error.faults:
        return error.faults[0].field
    if isinstance(error, errors.InvalidRequest):
        return error.field or None
    return None


def _headers(error: errors.TokenForgeError) -> Mapping[str, str]:
    if isinstance(error, errors.Overloaded | errors.NotReady):
        return {"retry-after": str(max(1, math.ceil(error.retry_after_s)))}
    if isinstance(error, errors.StoreUnavailable):
        return {"retry-after": "1"}
    if isinstance(error, errors.Unauthorized):
        return {"www-authenticate": _REALM + ("" if error.is_missing else ', error="invalid_token"')}
    if isinstance(error, errors.Forbidden):
        scope = f', scope="{error.scope}"' if error.scope else ""
        return {"www-authenticate": f'{_REALM}, error="insufficient_scope"{scope}'}
    return {}


def _fault_body(fault: errors.Fault) -> dict[str, object]:
    return {
        "field": _text(fault.field), "value": _shown(fault.shown), "message": _text(fault.message), "hint": fault.hint
    }  # fmt: skip


def _shown(value: object) -> object:
    """A value that any reader of JSON can read: no infinity, no number of a thousand digits."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and abs(value) < _MOST_EXACT:
        return value
    return _text(str(value)[:_MAX_SHOWN])


def _text(text: str) -> str:
    """Without half surrogate pairs, which JSON can spell and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
