"""The data plane: OpenAI's routes and `/infer`, on raw ASGI, with neither the database nor the control loop in the way.

A small part by itself, so that it can be replaced by a thinner protocol: it needs a Router, an Upstream and a Guard,
and answers the paths of its `handlers`. Refuses to send a byte before a worker has answered, so a failure until then
is tried elsewhere or has its proper status.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tokenforge.domain.errors import DeadlineExceeded, Fault, InvalidInput, TokenForgeError
from tokenforge.gateway.guard import Guard
from tokenforge.gateway.routing import Router
from tokenforge.gateway.upstream import Upstream
from tokenforge.protocol.asgi import ClientGone, Receive, Scope, Send, header, read_body, send_whole, unless_gone
from tokenforge.protocol.problem import Problem, problem_of
from tokenforge.telemetry.gateway_metrics import GatewayMetrics

_log = logging.getLogger(__name__)

DEFAULT_DEADLINE_S = 600.0
MAX_DEADLINE_S = 3600.0
DEADLINE_HEADER = b"x-tokenforge-timeout-s"
_SCOPED = "/deployments/"
RUNTIME_HEADER = b"x-tokenforge-runtime"
SESSION_HEADER = b"x-tokenforge-session"


@dataclass(slots=True, kw_only=True)
class Passage:
    """One request on its way through. `session` is the one it names, if any.

    `asked_s`: when a replica was asked last. `is_begun`: bytes were sent. `outcome` is for the metrics.

    After that an error can only be told in the stream, by the bytes that `tell_late` makes of it.
    """

    path: str
    body: bytes
    send: Send
    headers: Mapping[str, str]
    runtime: str | None
    deployment: str | None
    arrived_s: float
    until_s: float
    session: str = ""
    asked_s: float | None = None
    is_begun: bool = False
    outcome: str = "ok"
    tell_late: Callable[[Problem], bytes] | None = None


Handler = Callable[["DataPlane", Passage], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class DataPlane:
    """Answers the hot routes. `handlers` by path; `clock` is monotonic seconds.

    `refresh` brings the table up to date: asked only when nobody is there to serve, off the hot path.
    """

    router: Router
    upstream: Upstream
    guard: Guard
    metrics: GatewayMetrics
    handlers: Mapping[str, Handler]
    refresh: Callable[[], Awaitable[None]]
    clock: Callable[[], float] = time.monotonic
    is_draining: bool = False
    in_flight: int = 0
    empty: asyncio.Event = field(default_factory=asyncio.Event)

    def owns(self, path: str, method: str) -> bool:
        """Whether it answers this."""
        return method == "POST" and split_path(path)[1] in self.handlers

    async def answer(self, scope: Scope, receive: Receive, send: Send, *, request_id: str) -> None:
        """Answer one request, whatever happens."""
        began_s = self.clock()
        self.in_flight += 1
        self.empty.clear()
        deployment, path = split_path(scope["path"])
        try:
            outcome = await self._answer(
                scope, receive, send, path=path, deployment=deployment, request_id=request_id, began_s=began_s
            )
        finally:
            self.in_flight -= 1
            if self.in_flight == 0:
                self.empty.set()
        self.metrics.count(path, outcome, duration_s=self.clock() - began_s)

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        path: str,
        deployment: str | None,
        request_id: str,
        began_s: float,
    ) -> str:
        headers = {"x-request-id": request_id}
        try:
            self.guard.admit(scope, needs="infer")
            body = await read_body(scope, receive)
            passage = Passage(
                path=path, body=body, send=send, headers=headers,
                runtime=header(scope, RUNTIME_HEADER) or None, deployment=deployment,
                arrived_s=began_s, until_s=began_s + _deadline_s(scope), session=header(scope, SESSION_HEADER),
            )  # fmt: skip
        except ClientGone:
            return "cancelled"
        except TokenForgeError as error:
            closing = {**headers, "connection": "close"}
            await _send_problem(send, problem_of(error), path=path, headers=closing)
            return error.code
        outcome = await unless_gone(self._pass(passage), receive)
        return "cancelled" if outcome is None else outcome

    async def _pass(self, passage: Passage) -> str:
        try:
            try:
                async with asyncio.timeout(passage.until_s - self.clock()):
                    await self.handlers[passage.path](self, passage)
            except TimeoutError:
                limit_s = passage.until_s - passage.arrived_s
                raise DeadlineExceeded(f"the answer was not whole after {limit_s:g} s") from None
        except Exception as error:  # noqa: BLE001 - the edge of a request: whatever it is, the client gets an answer
            problem = problem_of(error)
            if problem.code == "internal":
                _log.error("request %s failed unforeseen", passage.headers["x-request-id"], exc_info=error)
            await _tell(passage, problem)
            return problem.code
        return passage.outcome


def split_path(path: str) -> tuple[str | None, str]:
    """`/deployments/ID/v1/...` is OpenAI's API of one deployment alone: its id, and the path within."""
    if not path.startswith(_SCOPED):
        return None, path
    identity, slash, rest = path.removeprefix(_SCOPED).partition("/")
    return (identity, f"/{rest}") if slash and rest.startswith("v1/") else (None, path)


async def _tell(passage: Passage, problem: Problem) -> None:
    """The problem as the whole answer, or as the last event of a stream that has begun."""
    if not passage.is_begun:
        await _send_problem(passage.send, problem, path=passage.path, headers=passage.headers)
    elif passage.tell_late is not None:
        await passage.send({"type": "http.response.body", "body": passage.tell_late(problem)})


async def _send_problem(send: Send, problem: Problem, *, path: str, headers: Mapping[str, str]) -> None:
    is_openai = path.startswith("/v1/")
    body = problem.openai_body() if is_openai else problem.problem_body()
    kind = "application/json" if is_openai else "application/problem+json"
    merged = {**headers, **problem.headers}
    await send_whole(send, body, status=problem.status, content_type=kind, headers=merged)


def _deadline_s(scope: Scope) -> float:
    said = header(scope, DEADLINE_HEADER)
    if not said:
        return DEFAULT_DEADLINE_S
    try:
        limit_s = float(said)
    except ValueError:
        limit_s = -1.0
    if not 0 < limit_s <= MAX_DEADLINE_S:
        hint = f"write seconds, above 0 up to {MAX_DEADLINE_S:g}"
        raise InvalidInput([Fault(field=DEADLINE_HEADER.decode(), value=said, message="is not a time", hint=hint)])
    return limit_s
