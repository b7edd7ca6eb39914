"""`POST /infer`: its body, the completion it asks of a worker, and the answer made from that worker's stream.

A worker is always asked for a stream: the first token's time is known then, and a whole answer is only a stream that
was gathered. Nothing here does I/O.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Field, ValidationError

from tokenforge.domain.errors import InvalidInput
from tokenforge.protocol.benchmark_lengths import Body
from tokenforge.protocol.benchmark_words import schema_faults
from tokenforge.protocol.sse import SseEvent, encode_event

_MAX_STOPS = 16


class InferBody(Body):
    """One prompt for one answer."""

    model: str = Field(min_length=1, max_length=4_096, description="a model that is deployed, see GET /deployments")
    runtime: str | None = Field(default=None, min_length=1, max_length=128, description="default: any of the model")
    prompt: str = Field(min_length=1, description="the text to go on from")
    max_tokens: int = Field(default=128, ge=1, le=2**31 - 1, description="the most tokens to make, for example 128")
    temperature: float = Field(default=1.0, ge=0, le=2, description="0 is greedy")
    top_p: float = Field(default=1.0, gt=0, le=1, description="above 0, up to 1")
    stop: list[str] | None = Field(default=None, max_length=_MAX_STOPS, description="texts that end the answer")
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63, description="a whole number")
    stream: bool = Field(default=False, description="true for server-sent events: token, done, error")


class UsageAnswer(Body):
    """Tokens counted by the engine."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TimingsAnswer(Body):
    """Milliseconds from the request's arrival at the gateway; `queue_ms` until a worker had it.

    `ttft_ms` is null for an answer without text.
    """

    queue_ms: float
    ttft_ms: float | None = None
    total_ms: float


class InferAnswer(Body):
    """A whole answer."""

    id: str
    model: str
    runtime: str
    text: str
    finish_reason: str
    usage: UsageAnswer
    timings: TimingsAnswer


def parse_infer(data: Mapping[str, object]) -> InferBody:
    """Read the body. Raises InvalidInput with every fault."""
    try:
        return InferBody.model_validate(data)
    except ValidationError as error:
        raise InvalidInput(schema_faults(error, root=InferBody), source="request body") from error


def completion_body(body: InferBody) -> bytes:
    """What the worker is asked; an option left out stays out, so a runtime that lacks it is not in the way."""
    asked: dict[str, object] = {
        "model": body.model,
        "prompt": body.prompt,
        "max_tokens": body.max_tokens,
        "temperature": body.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if body.top_p != 1.0:
        asked["top_p"] = body.top_p
    if body.stop:
        asked["stop"] = body.stop
    if body.seed is not None:
        asked["seed"] = body.seed
    return json.dumps(asked).encode()


@dataclass(slots=True, kw_only=True)
class Gathered:
    """What a worker's stream has said so far. `error` is OpenAI's error object when the stream failed."""

    texts: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    error: Mapping[str, object] | None = None
    is_done: bool = False

    def take(self, event: SseEvent) -> str:
        """Take one event; returns the new text. Raises ValueError for an event that is not of this API."""
        if event.data == "[DONE]":
            self.is_done = True
            return ""
        value = json.loads(event.data)
        if not isinstance(value, dict):
            raise ValueError("an event of the worker is not an object")
        if isinstance(error := value.get("error"), dict):
            self.error = error
            return ""
        if isinstance(usage := value.get("usage"), dict):
            self.usage = {name: int(usage[name]) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
        choices = value.get("choices")
        if not isinstance(choices, list) or not choices:
            return ""
        self.finish_reason = choices[0].get("finish_reason") or self.finish_reason
        text = str(choices[0].get("text") or "")
        if text:
            self.texts.append(text)
        return text


def token_event(text: str) -> bytes:
    """A piece of the answer; it may hold several tokens when they came together."""
    return encode_event(json.dumps({"text": text}), event="token")


def done_event(answer: InferAnswer) -> bytes:
    """The end of a whole stream: everything but the text, which was sent."""
    return encode_event(answer.model_dump_json(exclude={"text"}), event="done")


def error_event(problem: bytes) -> bytes:
    """The end of a stream that failed: problem details."""
    return encode_event(problem.decode(), event="error")
