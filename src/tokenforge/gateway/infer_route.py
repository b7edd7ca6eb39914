"""`POST /infer`: one prompt, one answer, whole or as events, with what it cost in time."""

import json
from dataclasses import dataclass, field

from tokenforge.domain.errors import Fault
from tokenforge.gateway.affinity import Hint
from tokenforge.gateway.plane import DataPlane, Passage
from tokenforge.gateway.relay import Ask, relay
from tokenforge.gateway.routing import Endpoint, Want
from tokenforge.gateway.upstream_answer import UpstreamAnswer, UpstreamFailed
from tokenforge.gateway.usage import Usage
from tokenforge.protocol import infer
from tokenforge.protocol.openai_fields import read_object
from tokenforge.protocol.problem import Problem
from tokenforge.protocol.sse import SseParser


async def infer_route(plane: DataPlane, passage: Passage) -> None:
    """Answer `/infer`."""
    body = infer.parse_infer(read_object(passage.exchange.body))
    passage.model = body.model
    inference = _Inference(plane=plane, passage=passage, body=body)
    hint = Hint(passage.session, {"prompt": body.prompt})
    want = Want(model=body.model, runtime=body.runtime or passage.runtime, hint=hint)
    ask = Ask(want=want, path="/v1/completions", body=infer.completion_body(body))
    refusal = await relay(plane, passage, ask, inference.take)
    if refusal is not None:
        _send_problem(passage, _problem(passage, refusal.status, refusal.body, retry_after=refusal.retry_after))


@dataclass(slots=True, kw_only=True)
class _Inference:
    """One answer in the making."""

    plane: DataPlane
    passage: Passage
    body: infer.InferBody
    gathered: infer.Gathered = field(default_factory=infer.Gathered)
    first_s: float | None = None

    async def take(self, endpoint: Endpoint, answer: UpstreamAnswer) -> None:
        """Read the worker's stream into our answer."""
        self.gathered, self.first_s = infer.Gathered(), None
        if answer.status != 200:
            _send_problem(self.passage, _problem(self.passage, answer.status, await answer.whole()))
            return
        try:
            await self._read(answer, endpoint.deployment)
        finally:
            self.passage.usage = self._usage()
        self._check()
        done = self._answer(endpoint)
        if self.body.stream:
            self._begin()
            exchange = self.passage.exchange
            exchange.write(infer.done_event(done))
            exchange.end()
            return
        self.passage.whole(200, done.model_dump_json().encode(), kind="application/json")

    async def _read(self, answer: UpstreamAnswer, deployment: str) -> None:
        parser = SseParser()
        try:
            async for chunk in answer.chunks():
                text = "".join([self.gathered.take(event) for event in parser.feed(chunk)])
                if not text:
                    continue
                if self.first_s is None:
                    self.first_s = self.plane.clock()
                    self.plane.begun(self.passage, deployment)
                if self.body.stream:
                    self._begin()
                    self.passage.exchange.write(infer.token_event(text))
                    await self.passage.exchange.drained()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UpstreamFailed(f"the worker's stream cannot be read: {type(error).__name__}: {error}") from error

    def _usage(self) -> Usage:
        """What was delivered: as the engine says in the end, else the pieces of text that came."""
        told = self.gathered.usage
        if told:
            prompt, completion = told["prompt_tokens"], told["completion_tokens"]
            return Usage(prompt_tokens=prompt, completion_tokens=completion, source="engine")
        return Usage(prompt_tokens=0, completion_tokens=len(self.gathered.texts), source="events")

    def _check(self) -> None:
        """Raise what the stream ended with, unless it ended well."""
        if self.gathered.error is not None:
            raise UpstreamFailed(str(self.gathered.error.get("message", "the engine failed")))
        if not self.gathered.is_done or self.gathered.finish_reason is None:
            raise UpstreamFailed("the worker's stream ended before its answer was whole")

    def _begin(self) -> None:
        if not self.passage.exchange.is_begun:
            self.passage.tell_late = _late_event
            headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
            self.passage.begin(200, kind="text/event-stream; charset=utf-8", headers=headers)

    def _answer(self, endpoint: Endpoint) -> infer.InferAnswer:
        usage = self.gathered.usage
        arrived_s = self.passage.arrived_s
        return infer.InferAnswer(
            id=self.passage.request_id,
            model=self.body.model,
            runtime=endpoint.runtime,
            text="".join(self.gathered.texts),
            finish_reason=self.gathered.finish_reason or "",
            usage=infer.UsageAnswer(
                prompt_tokens=usage.get("prompt_tokens", 0),
                completion_tokens=usage.get("completion_tokens", 0),
                total_tokens=usage.get("total_tokens", 0),
            ),
            timings=infer.TimingsAnswer(
                queue_ms=_ms((self.passage.asked_s or arrived_s) - arrived_s),
                ttft_ms=None if self.first_s is None else _ms(self.first_s - arrived_s),
                total_ms=_ms(self.plane.clock() - arrived_s),
            ),
        )


def _send_problem(passage: Passage, problem: Problem) -> None:
    passage.exchange.outcome = f"worker_{problem.status}"
    body = problem.problem_body()
    passage.whole(problem.status, body, kind="application/problem+json", headers=problem.headers)


def _problem(passage: Passage, status: int, body: bytes, *, retry_after: str = "") -> Problem:
    """A worker's refusal in our own words, with the field that it is about."""
    param = None
    try:
        error = json.loads(body)["error"]
        message, code, param = str(error["message"]), str(error["code"]), error.get("param")
    except (ValueError, KeyError, TypeError):
        message, code = f"the worker answered HTTP {status}", "upstream_failed"
    headers = {"retry-after": retry_after} if retry_after else {}
    faults: tuple[Fault, ...] = ()
    if isinstance(param, str):
        faults = (Fault(field=param, value=read_object(passage.exchange.body).get(param), message=message),)
    return Problem(status=status, code=code, message=message, param=param, faults=faults, headers=headers)


def _late_event(problem: Problem) -> bytes:
    return infer.error_event(problem.problem_body())


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 3)
