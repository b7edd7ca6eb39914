"""The admin side as one ASGI application: routes of operations, the guard before them, errors as problem details."""

import logging
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tokenforge.gateway.admin.operation import Handle, Operation
from tokenforge.gateway.guard import Guard
from tokenforge.protocol.asgi import ClientGone
from tokenforge.protocol.problem import Problem, problem_of

_log = logging.getLogger(__name__)


def admin_app(operations: Sequence[Operation], *, guard: Guard) -> Starlette:
    """The application."""
    routes = [
        Route(operation.path, _guarded(operation, guard), methods=[operation.method], name=operation.summary)
        for operation in operations
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_error})


def _guarded(operation: Operation, guard: Guard) -> Handle:
    async def endpoint(request: Request) -> Response:
        try:
            if operation.needs:
                guard.admit(request.scope, needs=operation.needs)
            return await operation.handle(request)
        except ClientGone:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001 - the edge of a request: whatever it is, the client gets an answer
            problem = problem_of(error)
            if problem.code == "internal":
                _log.error("%s %s failed unforeseen", request.method, operation.path, exc_info=error)
            return _problem(problem, path=request.url.path)

    return endpoint


async def _http_error(request: Request, error: Exception) -> Response:
    """No such route, or not this method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "http_error")
    text = f"{request.method} {request.url.path[:80]}: " + {
        404: "there is nothing. GET /openapi.json tells what there is",
        405: "not with this method",
    }.get(status, "cannot be answered")
    allow = error.headers if isinstance(error, HTTPException) and error.headers else {}
    return _problem(Problem(status=status, code=code, message=text, headers=dict(allow)), path=request.url.path)


def _problem(problem: Problem, *, path: str) -> Response:
    """In the shape of the path: OpenAI's clients read theirs."""
    kind, body = problem.shaped(path)
    return Response(body, status_code=problem.status, media_type=kind, headers=dict(problem.headers))
