"""One generation for one client, from the body to the last byte; the engine is told at once when the client leaves.

Nothing is sent before the first chunk came, so what goes wrong until then has its proper status. After that a failure
is the stream's last event. No wait is endless: neither for the engine nor for a client that stopped reading.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from tokenforge.domain.errors import EngineError, InvalidInput, InvalidRequest, NotFound, TokenForgeError
from tokenforge.domain.generation import Chunk, FinishReason, GenerateRequest, RuntimeInfo, ScoreRequest, TokenLogprob
from tokenforge.protocol.asgi import Receive, Send, send_head, send_whole, unless_gone
from tokenforge.protocol.openai_answer import AnswerHead, BodyWriter, error_event, event_writer
from tokenforge.protocol.openai_fields import read_object
from tokenforge.protocol.openai_request import OpenAIRequest, Operation, parse_request, refuse_unable
from tokenforge.protocol.problem import problem_of
from tokenforge.runtimes.base import ForwardedAnswer
from tokenforge.telemetry.tracing.tracer import Tracer
from tokenforge.telemetry.worker_metrics import WorkerMetrics
from tokenforge.worker.admission import Admission
from tokenforge.worker.forwarding import PATHS, forward
from tokenforge.worker.host import Host
from tokenforge.worker.measure import Measure
from tokenforge.worker.prompts import room_for
from tokenforge.worker.stopwatch import Stopwatch

_log = logging.getLogger(__name__)

STALL_LIMIT_S = 600.0
"""The longest wait for the next chunk, or for the client to take one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What every generation needs."""

    host: Host
    admission: Admission
    metrics: WorkerMetrics
    new_id: Callable[[], str]
    tracer: Tracer | None = None


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request on its way. `headers` go into whatever answer it gets."""

    operation: Operation
    body: bytes
    receive: Receive
    send: Send
    headers: Mapping[str, str]
    watch: Stopwatch = field(default_factory=Stopwatch)
    is_begun: bool = False
    last: Chunk | None = None
    measure: Measure | None = None
    call: GenerateRequest | None = None


async def answer(service: Service, exchange: Exchange) -> str:
    """Answer one request; returns its outcome for the log and the metrics (`ok`, `cancelled`, or an error's code)."""
    outcome = await unless_gone(_answer(service, exchange), exchange.receive)
    return "cancelled" if outcome is None else outcome


async def _answer(service: Service, exchange: Exchange) -> str:
    try:
        await _generate(service, exchange)
    except Exception as error:  # noqa: BLE001 - the edge of a request: whatever it is, the client gets an answer
        await _tell_error(exchange, error)
        return error.code if isinstance(error, TokenForgeError) else "internal"
    return "ok"


async def _generate(service: Service, exchange: Exchange) -> None:
    info = service.host.require_ready()
    request = _own_request(service, exchange, info)
    if request is None:
        await _forward(service, exchange)
        return
    with service.admission.place():
        call = exchange.call = await _call(service, request, info)
        head = _head(service, request, call.request_id)
        scores = await _scores(service, request, call)
        exchange.watch.submit()
        async with aclosing(service.host.generate(call)) as chunks:
            exchange.measure = Measure(metrics=service.metrics, watch=exchange.watch)
            watched = _watched(exchange.measure, exchange, chunks)
            if request.is_stream:
                await _stream(exchange, head, watched)
            else:
                await _whole(exchange, BodyWriter(head=head, prompt_scores=scores), watched)


def _own_request(service: Service, exchange: Exchange, info: RuntimeInfo) -> OpenAIRequest | None:
    """The request in our own words; None where it is beyond them and a server behind the runtime may judge it."""
    has_server = service.host.forwarder is not None
    if exchange.operation not in (Operation.COMPLETIONS, Operation.CHAT):
        _require_model(service, read_object(exchange.body).get("model"))
        if has_server:
            return None
        hint = "Use /v1/chat/completions or /v1/completions, or deploy the model on a runtime that can"
        raise InvalidRequest(f"runtime {info.runtime} cannot do /v1/{exchange.operation}", hint=hint)
    if has_server and service.host.prompts is None:
        return None
    try:
        request = parse_request(exchange.body, exchange.operation)
        _require_model(service, request.model)
        refuse_unable(request, info.capabilities, runtime=info.runtime)
    except InvalidInput:
        if has_server:
            return None
        raise
    if has_server and request.has_tools:
        return None  # the server shows them to its model in its own way
    return request


async def _forward(service: Service, exchange: Exchange) -> None:
    body = read_object(exchange.body)
    _require_model(service, body.get("model"))
    forwarder = service.host.forwarder
    assert forwarder is not None

    async def begin(head: ForwardedAnswer) -> None:
        exchange.is_begun = True
        await send_head(
            exchange.send, status=head.status, content_type=head.content_type,
            headers={**exchange.headers, "cache-control": "no-cache", "x-accel-buffering": "no"},
        )  # fmt: skip

    with service.admission.place():
        await forward(
            forwarder, PATHS[exchange.operation], body, send=exchange.send, begin=begin, headers=exchange.headers
        )


def _require_model(service: Service, asked: object) -> None:
    served = service.host.spec.runtime.served_name
    if asked != served:
        raise NotFound(f"model {asked!r} is not served here", hint=f"This worker serves {served!r}")


async def _scores(service: Service, request: OpenAIRequest, call: GenerateRequest) -> Sequence[TokenLogprob] | None:
    if request.prompt_logprobs is None:
        return None
    asked = ScoreRequest(request_id=service.new_id(), token_ids=call.prompt_ids, top=request.prompt_logprobs)
    async with asyncio.timeout(STALL_LIMIT_S):
        return await service.host.score(asked)


async def _call(service: Service, request: OpenAIRequest, info: RuntimeInfo) -> GenerateRequest:
    if service.host.prompts is None:
        raise EngineError("the worker has no tokenizer")
    ids = await service.host.prompts.encode(request)
    room = room_for(request, prompt_tokens=len(ids), max_model_len=info.max_model_len)
    return GenerateRequest(request_id=service.new_id(), prompt_ids=ids, sampling=request.sampling_within(room))


def _head(service: Service, request: OpenAIRequest, request_id: str) -> AnswerHead:
    prompts = service.host.prompts
    prefix = "chatcmpl" if request.operation is Operation.CHAT else "cmpl"

    def token_text(token_id: int) -> str:
        return "" if prompts is None else prompts.tokenizer.decode([token_id], skip_special=False)

    return AnswerHead(id=f"{prefix}-{request_id}", created_s=int(time.time()), request=request, token_text=token_text)


async def _watched(
    measure: Measure, exchange: Exchange, chunks: AsyncGenerator[Chunk, None]
) -> AsyncGenerator[Chunk, None]:
    """The same chunks, measured. An abort or an error of the engine is raised: it is no whole answer."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(STALL_LIMIT_S) as stall:
        async for chunk in chunks:
            stall.reschedule(loop.time() + STALL_LIMIT_S)
            exchange.last = chunk
            measure.take(chunk)
            if chunk.finish in (FinishReason.ABORT, FinishReason.ERROR):
                raise EngineError(f"the generation ended early ({chunk.finish.value}) after {measure.tokens} tokens")
            yield chunk


async def _stream(exchange: Exchange, head: AnswerHead, chunks: AsyncGenerator[Chunk, None]) -> None:
    writer = event_writer(head)
    send = exchange.send
    async with aclosing(chunks) as stream:
        async for chunk in stream:
            event = writer.event(chunk)
            if event:
                exchange.watch.note(chunk)
            if not exchange.is_begun:
                await _begin(exchange)
                event = writer.opening() + event
            if chunk.finish is not None:
                event += writer.closing(chunk.usage, exchange.watch.timing())
            if event:
                await send({"type": "http.response.body", "body": event, "more_body": chunk.finish is None})


async def _begin(exchange: Exchange) -> None:
    exchange.is_begun = True
    headers = {**exchange.headers, "cache-control": "no-cache", "x-accel-buffering": "no"}
    await send_head(exchange.send, status=200, content_type="text/event-stream; charset=utf-8", headers=headers)


async def _whole(exchange: Exchange, writer: BodyWriter, chunks: AsyncGenerator[Chunk, None]) -> None:
    async with aclosing(chunks) as stream:
        async for chunk in stream:
            exchange.watch.note(chunk)
            writer.add(chunk)
    exchange.is_begun = True
    await send_whole(exchange.send, writer.body(), headers=exchange.headers)


async def _tell_error(exchange: Exchange, error: Exception) -> None:
    """The error as the whole answer, or as the last event of a stream that has begun."""
    problem = problem_of(error)
    if problem.code == "internal":
        _log.error("request failed unforeseen", exc_info=error)
    if exchange.is_begun:
        await exchange.send({"type": "http.response.body", "body": error_event(problem.openai_body())})
        return
    headers = {**exchange.headers, **problem.headers}
    await send_whole(exchange.send, problem.openai_body(), status=problem.status, headers=headers)
