"""OpenAI's routes: the worker speaks the wire format already, so its bytes pass through untouched."""

from collections.abc import Iterable

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.gateway.body import model_in
from tokenforge.gateway.plane import RUNTIME_HEADER, DataPlane, Passage
from tokenforge.gateway.relay import Ask, relay
from tokenforge.gateway.routing import Endpoint, Served, Want
from tokenforge.gateway.upstream_answer import UpstreamAnswer
from tokenforge.gateway.usage import usage_in, usage_of_stream
from tokenforge.protocol.openai_answer import error_event
from tokenforge.protocol.problem import Problem

_END_BYTES = 1024
PATHS = ("/v1/completions", "/v1/chat/completions", "/v1/embeddings", "/v1/responses")


async def openai_route(plane: DataPlane, passage: Passage) -> None:
    """Answer one of `PATHS`: what a worker cannot do, it refuses itself."""
    ask = Ask(want=wanted(passage), path=passage.path, body=passage.exchange.body)

    async def take(endpoint: Endpoint, answer: UpstreamAnswer) -> None:
        if is_stream(answer):
            await answer.first()
            begin_stream(plane, passage, endpoint, answer)
            try:
                await answer.pass_to(passage.exchange)
            finally:
                passage.usage = usage_of_stream(answer.before + answer.last, events=answer.events)
            passage.exchange.end()
        else:
            tell_whole(passage, endpoint, answer, await answer.whole())

    refusal = await relay(plane, passage, ask, take)
    if refusal is not None:
        passage.exchange.outcome = f"worker_{refusal.status}"
        extra = {"retry-after": refusal.retry_after} if refusal.retry_after else {}
        passage.whole(refusal.status, refusal.body, kind=refusal.content_type, headers=extra)


def wanted(passage: Passage) -> Want:
    """Who may serve it. Raises InvalidInput."""
    body = passage.exchange.body
    passage.model = model = model_in(body) or _model_in_words(body)
    runtime = passage.runtime if RUNTIME_HEADER in passage.exchange.fields else None
    return Want(model, runtime, passage.deployment, passage)


def _model_in_words(body: bytes) -> str:
    """The model's name, by a reader that says what is wrong, and reads other encodings. Raises InvalidInput."""
    from tokenforge.protocol.openai_fields import peek_object

    model = peek_object(body).get("model")
    if isinstance(model, str) and model:
        return model
    hint = "GET /v1/models lists what is served"
    fault = Fault(field="model", value=model, message="is not the name of a model", hint=hint)
    raise InvalidInput([fault], source="request body")


def is_stream(answer: UpstreamAnswer) -> bool:
    """Whether the worker answers in events."""
    return answer.fields.get(b"content-type", b"").startswith(b"text/event-stream")


def tell_whole(passage: Passage, endpoint: Endpoint, answer: UpstreamAnswer, body: bytes) -> None:
    """Give a worker's whole answer to the client."""
    if answer.status >= 400:
        passage.exchange.outcome = f"worker_{answer.status}"
    passage.usage = usage_in(body[-_END_BYTES:])
    kind = answer.fields.get(b"content-type") or b"application/json"
    told = (kind, passage.identity, endpoint.id.encode("latin-1"))
    lines = b"content-type: %b\r\nx-request-id: %b\r\nx-tokenforge-replica: %b\r\n" % told
    passage.exchange.whole(answer.status, lines, body)


def begin_stream(plane: DataPlane, passage: Passage, endpoint: Endpoint, answer: UpstreamAnswer) -> None:
    """The first event is here: send the head of the answer, which then passes on what comes."""
    plane.begun(passage, endpoint.deployment)
    passage.tell_late = _late_event
    headers = {"x-tokenforge-replica": endpoint.id, **_own_time(passage), "cache-control": "no-cache"}
    kind = answer.header(b"content-type")
    passage.begin(answer.status, kind=kind, headers={**headers, "x-accel-buffering": "no"})


def _own_time(passage: Passage) -> dict[str, str]:
    """How long the request was here before the replica that answers was asked (W3C Server Timing, in ms)."""
    if passage.asked_s is None:
        return {}
    return {"server-timing": f"gateway;dur={(passage.asked_s - passage.arrived_s) * 1e3:.6f}"}


def models_document(deployed: Iterable[Served]) -> dict[str, object]:
    """What `/v1/models` answers."""
    return {"object": "list", "data": models_of(deployed)}


def models_of(deployed: Iterable[Served]) -> list[dict[str, object]]:
    """Every model of these deployments, once, with the runtimes that serve it."""
    by_model: dict[str, list[Served]] = {}
    for one in deployed:
        by_model.setdefault(one.model, []).append(one)
    data: list[dict[str, object]] = []
    for model, served in sorted(by_model.items()):
        endpoints = [endpoint for one in served for endpoint in one.endpoints]
        data.append(
            {
                "id": model,
                "object": "model",
                "created": min(one.created_s for one in served),
                "owned_by": "tokenforge",
                "max_model_len": min((endpoint.info.max_model_len for endpoint in endpoints), default=None),
                "runtimes": sorted({one.runtime for one in served}),
                "ready": bool(endpoints),
            }
        )
    return data


def _late_event(problem: Problem) -> bytes:
    return error_event(problem.openai_body())
