"""The worker's routes, on raw ASGI: a streamed token passes no middleware, no router object, no validation model."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST

from tokenforge.domain.canonical import to_plain
from tokenforge.domain.errors import NotFound, TokenForgeError
from tokenforge.protocol.asgi import ClientGone, Receive, Scope, Send, header, read_body, request_id, send_whole
from tokenforge.protocol.openai_answer import models_body
from tokenforge.protocol.openai_request import Operation
from tokenforge.protocol.problem import Problem, problem_of
from tokenforge.protocol.worker_spec import WorkerPhase, runtime_info_to_plain
from tokenforge.telemetry.page import read_page
from tokenforge.worker.answers import Exchange, Service, answer
from tokenforge.worker.closing import close_request
from tokenforge.worker.tracing import Answered

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    body: bytes
    status: int = 200
    content_type: str = "application/json"


class App:
    """The ASGI application of one worker."""

    def __init__(self, service: Service, *, started_s: int) -> None:
        self._service = service
        self._started_s = started_s
        self._instance = service.new_id()
        self._reads: Mapping[str, Callable[[], _Reply]] = {
            "/health/live": self._live,
            "/health/ready": self._ready,
            "/metrics": self._metrics,
            "/v1/models": self._models,
            "/worker/info": self._info,
        }
        self._generations = {
            "/v1/completions": Operation.COMPLETIONS,
            "/v1/chat/completions": Operation.CHAT,
            "/v1/embeddings": Operation.EMBEDDINGS,
            "/v1/responses": Operation.RESPONSES,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path, method = scope["path"], scope["method"]
        headers = {"x-request-id": request_id(scope, otherwise=self._service.new_id())}
        if path in self._generations and method == "POST":
            await self._generation(scope, receive, send, headers=headers)
        elif path in self._reads and method in ("GET", "HEAD"):
            await _reply(send, self._reads[path], headers=headers)
        else:
            await _refuse(
                send, path=path, method=method, is_known=path in {**self._reads, **self._generations}, headers=headers
            )

    async def _generation(self, scope: Scope, receive: Receive, send: Send, *, headers: Mapping[str, str]) -> None:
        operation = self._generations[scope["path"]]
        begun_ns = time.monotonic_ns()
        exchange = None
        try:
            body = await read_body(scope, receive)
            exchange = Exchange(operation=operation, body=body, receive=receive, send=send, headers=headers)
            outcome = await answer(self._service, exchange)
        except ClientGone:
            outcome = "cancelled"
        except TokenForgeError as error:
            outcome = error.code
            problem = problem_of(error)
            closing = {**headers, "connection": "close"}
            await send_whole(send, problem.openai_body(), status=problem.status, headers=closing)
        answered = Answered(
            operation=operation, route=scope["path"], request_id=headers["x-request-id"], outcome=outcome,
            began_ns=begun_ns, ended_ns=time.monotonic_ns(), info=self._service.host.info, exchange=exchange,
        )  # fmt: skip
        close_request(self._service, answered, traceparent=header(scope, b"traceparent"))

    def _live(self) -> _Reply:
        return _Reply(body=b'{"status": "live"}')

    def _ready(self) -> _Reply:
        host = self._service.host
        body = json.dumps({"phase": host.phase.value, "cause": host.cause}).encode()
        return _Reply(body=body, status=200 if host.phase is WorkerPhase.READY else 503)

    def _metrics(self) -> _Reply:
        body = read_page(self._service.metrics.registry)
        return _Reply(body=body, content_type=CONTENT_TYPE_LATEST)

    def _models(self) -> _Reply:
        host = self._service.host
        length = host.info.max_model_len if host.info is not None else None
        names = [host.spec.runtime.served_name]
        return _Reply(body=models_body(names, created_s=self._started_s, max_model_len=length))

    def _info(self) -> _Reply:
        host, admission = self._service.host, self._service.admission
        body = {
            "name": host.spec.name,
            "instance": self._instance,
            "phase": host.phase.value,
            "cause": host.cause,
            "runtime": None if host.info is None else runtime_info_to_plain(host.info),
            "stats": to_plain(host.stats()),
            "admission": {"inside": admission.inside, "capacity": admission.capacity},
        }
        return _Reply(body=json.dumps(body).encode())


async def _reply(send: Send, read: Callable[[], _Reply], *, headers: Mapping[str, str]) -> None:
    reply = read()
    await send_whole(send, reply.body, status=reply.status, content_type=reply.content_type, headers=headers)


async def _refuse(send: Send, *, path: str, method: str, is_known: bool, headers: Mapping[str, str]) -> None:
    if is_known:
        allowed = "POST" if path.startswith("/v1/") and path != "/v1/models" else "GET"
        problem = Problem(status=405, code="method_not_allowed", message=f"{method} {path}: use {allowed}")
        headers = {**headers, "allow": allowed}
    else:
        problem = problem_of(NotFound(f"there is nothing at {path[:80]}", hint="See /v1/models and /worker/info"))
    body = problem.openai_body() if path.startswith("/v1/") else problem.problem_body()
    kind = "application/json" if path.startswith("/v1/") else "application/problem+json"
    await send_whole(send, body, status=problem.status, content_type=kind, headers=headers)
