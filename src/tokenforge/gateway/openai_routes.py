"""OpenAI's routes: the worker speaks the wire format already, so its bytes pass through untouched."""

from collections.abc import Iterable

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.gateway.affinity import Hint
from tokenforge.gateway.plane import DataPlane, Passage
from tokenforge.gateway.relay import Ask, relay
from tokenforge.gateway.routing import Endpoint, Served, Want
from tokenforge.gateway.upstream_answer import UpstreamAnswer
from tokenforge.gateway.usage import usage_in, usage_of_stream
from tokenforge.protocol.openai_answer import error_event
from tokenforge.protocol.openai_fields import peek_object
from tokenforge.protocol.problem import Problem

_END_BYTES = 1024
PATHS = ("/v1/completions", "/v1/chat/completions", "/v1/embeddings", "/v1/responses")


async def openai_route(plane: DataPlane, passage: Passage) -> None:
    """Answer one of `PATHS`: what a worker cannot do, it refuses itself."""
    fields = peek_object(passage.exchange.body)
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        hint = "GET /v1/models lists what is served"
        fault = Fault(field="model", value=model, message="is not the name of a model", hint=hint)
        raise InvalidInput([fault], source="request body")
    passage.model = model
    shared = Hint(passage.session, fields)
    want = Want(model=model, runtime=passage.runtime, deployment=passage.deployment, hint=shared)
    ask = Ask(want=want, path=passage.path, body=passage.exchange.body)

    async def take(endpoint: Endpoint, answer: UpstreamAnswer) -> None:
        headers = {"x-tokenforge-replica": endpoint.id}
        kind = answer.header(b"content-type") or "application/json"
        if kind.startswith("text/event-stream"):
            await answer.first()
            plane.begun(passage, endpoint.deployment)
            await _stream(passage, answer, kind=kind, headers=headers)
            return
        body = await answer.whole()
        if answer.status >= 400:
            passage.exchange.outcome = f"worker_{answer.status}"
        passage.usage = usage_in(body[-_END_BYTES:])
        passage.whole(answer.status, body, kind=kind, headers=headers)

    refusal = await relay(plane, passage, ask, take)
    if refusal is not None:
        passage.exchange.outcome = f"worker_{refusal.status}"
        extra = {"retry-after": refusal.retry_after} if refusal.retry_after else {}
        passage.whole(refusal.status, refusal.body, kind=refusal.content_type, headers=extra)


async def _stream(passage: Passage, answer: UpstreamAnswer, *, kind: str, headers: dict[str, str]) -> None:
    """Pass the events on as they come; the head goes with the first of them."""
    passage.tell_late = _late_event
    headers = {**headers, **_own_time(passage), "cache-control": "no-cache", "x-accel-buffering": "no"}
    passage.begin(answer.status, kind=kind, headers=headers)
    try:
        await answer.pass_to(passage.exchange)
    finally:
        passage.usage = usage_of_stream(answer.before + answer.last, events=answer.events)
    passage.exchange.end()


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
