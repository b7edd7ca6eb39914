"""What the data plane answers, described for the OpenAPI document; and the small reads beside it."""

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from tokenforge.domain.api_key import READ
from tokenforge.domain.errors import NotReady
from tokenforge.gateway.admin.openai_schemas import ANYTHING, CHAT, COMPLETION
from tokenforge.gateway.admin.operation import Operation, Parameter, json_answer
from tokenforge.gateway.admin.schemas import HEALTH, MODELS
from tokenforge.gateway.late_app import health
from tokenforge.gateway.openai_routes import models_document, models_of
from tokenforge.gateway.plane import DEFAULT_DEADLINE_S, MAX_DEADLINE_S, DataPlane
from tokenforge.gateway.routing import Want
from tokenforge.protocol.infer import InferAnswer, InferBody
from tokenforge.protocol.worker_spec import runtime_info_to_plain

_HOT = (400, 404, 413, 429, 500, 503, 504)
_CHOICE = (
    Parameter(
        name="x-tokenforge-runtime", place="header", schema={"type": "string"}, text="which runtime; default: any"
    ),
    Parameter(
        name="x-tokenforge-session", place="header", schema={"type": "string"},
        text="requests of one session go to one replica, within its part of the load",
    ),
    Parameter(
        name="x-tokenforge-timeout-s", place="header", text="seconds until the answer must be whole",
        schema={"type": "number", "exclusiveMinimum": 0, "maximum": MAX_DEADLINE_S, "default": DEFAULT_DEADLINE_S},
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class HotReads:
    """Health, models and metrics, read from memory. `document` makes the OpenAPI document."""

    plane: DataPlane
    document: Callable[[], object]

    def operations(self) -> tuple[Operation, ...]:
        """What is offered; the data plane's own routes too, so that a wrong method there is 405."""
        return (
            *hot_operations(),
            Operation(
                method="GET", path="/v1/models", summary="Models that are deployed", handle=self.models,
                needs=READ, answers={200: MODELS},
            ),
            Operation(
                method="GET", path="/v1/models/{model:path}", summary="One model", handle=self.model,
                needs=READ, answers={200: {"type": "object"}}, problems=(404,),
            ),
            Operation(
                method="GET", path="/deployments/{id}/v1/models", summary="The model of one deployment",
                handle=self.models_of_one, needs=READ, answers={200: MODELS}, problems=(404,),
            ),
            Operation(
                method="GET", path="/deployments/{id}/worker/info", summary="The engine of one deployment",
                handle=self.worker_info, needs=READ, answers={200: {"type": "object"}}, problems=(404, 503),
            ),
            Operation(
                method="GET", path="/health/live", summary="Is the gateway there", handle=self.live, needs="",
                answers={200: HEALTH},
            ),
            Operation(
                method="GET", path="/health/ready", summary="Does it take requests", handle=self.ready, needs="",
                answers={200: HEALTH, 503: HEALTH},
            ),
            Operation(
                method="GET", path="/metrics", summary="Prometheus' page", handle=self.metrics, needs=READ,
                answers={200: "text/plain"},
            ),
            Operation(
                method="GET", path="/openapi.json", summary="This document", handle=self.openapi, needs="",
                answers={200: {"type": "object"}},
            ),
        )  # fmt: skip

    async def models(self, request: Request) -> Response:
        """OpenAI's list."""
        del request
        return json_answer(models_document(self.plane.router.table.all()))

    async def model(self, request: Request) -> Response:
        """One of that list."""
        served = self.plane.router.table.find(Want(model=str(request.path_params["model"])))
        (entry,) = models_of(served)
        return json_answer(entry)

    async def models_of_one(self, request: Request) -> Response:
        """The same of one deployment alone."""
        want = Want(model=None, deployment=str(request.path_params["id"]))
        return json_answer(models_document(self.plane.router.table.find(want)))

    async def worker_info(self, request: Request) -> Response:
        """What the engine of one deployment says of itself, as its workers tell it."""
        want = Want(model=None, deployment=str(request.path_params["id"]))
        endpoints = [e for one in self.plane.router.table.find(want) for e in one.endpoints]
        if not endpoints:
            raise NotReady(f"deployment {want.deployment} has no replica that serves", retry_after_s=2.0)
        return json_answer({"runtime": runtime_info_to_plain(endpoints[0].info), "replicas": len(endpoints)})

    async def live(self, request: Request) -> Response:
        """Always, while the process answers."""
        return self._health(request)

    async def ready(self, request: Request) -> Response:
        """Not while draining."""
        return self._health(request)

    def _health(self, request: Request) -> Response:
        told = health(request.url.path, is_draining=self.plane.is_draining)
        assert told is not None
        status, body = told
        return Response(body, status_code=status, media_type="application/json")

    async def metrics(self, request: Request) -> Response:
        """What was counted."""
        del request
        body = generate_latest(self.plane.metrics.registry)
        return Response(body, headers={"content-type": CONTENT_TYPE_LATEST})

    async def openapi(self, request: Request) -> Response:
        """The document."""
        del request
        return json_answer(self.document())


async def _elsewhere(request: Request) -> Response:
    raise AssertionError(f"{request.url.path} is the data plane's")


def hot_operations() -> tuple[Operation, ...]:
    """The data plane's own routes; they are never routed here."""
    anything: dict[str, object] = {"type": "object"}
    openai = [
        Operation(
            method="POST", path=scope + path, summary=summary + words, handle=_elsewhere, needs="infer", body=body,
            answers={200: anything}, problems=_HOT, parameters=_CHOICE,
        )
        for scope, words in (("", ""), ("/deployments/{id}", " of one deployment"))
        for path, summary, body in (
            ("/v1/completions", "OpenAI's completions", COMPLETION),
            ("/v1/chat/completions", "OpenAI's chat completions", CHAT),
            ("/v1/embeddings", "OpenAI's embeddings, where the runtime can", ANYTHING),
            ("/v1/responses", "OpenAI's responses, where the runtime can", ANYTHING),
        )
    ]  # fmt: skip
    infer = Operation(
        method="POST", path="/infer", summary="One prompt, one answer", handle=_elsewhere, needs="infer",
        body=InferBody, answers={200: InferAnswer}, problems=_HOT, parameters=_CHOICE,
    )  # fmt: skip
    return (infer, *openai)
