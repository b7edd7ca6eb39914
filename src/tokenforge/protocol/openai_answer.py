"""What we answer on `/v1/completions` and `/v1/chat/completions`: events of a stream, or one whole body.

A streamed token is the hottest path of a worker, so all of an event but its text is made once per request, as bytes.
An event without text is sent only when the client asked to see tokens (`return_token_ids`, `continuous_usage_stats`),
or when it tells the end. Which error is told how is not decided here (see `protocol.problem`).
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tokenforge.domain.generation import Chunk, FinishReason, TokenLogprob, Usage
from tokenforge.domain.timing import ServerTiming
from tokenforge.protocol.openai_call import CallReader, begun_call, call_id, more_of_call, whole_call
from tokenforge.protocol.openai_logprobs import chat_logprobs, completion_logprobs, prompt_logprobs
from tokenforge.protocol.openai_request import OpenAIRequest, Operation

DONE = b"data: [DONE]\n\n"
_TEXT = "\x00text\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerHead:
    """What all events and the body of one answer share. `created_s` is Unix time; `token_text` decodes one id."""

    id: str
    created_s: int
    request: OpenAIRequest
    token_text: Callable[[int], str]

    @property
    def is_chat(self) -> bool:
        """Whether the answer is a chat's."""
        return self.request.operation is Operation.CHAT


class EventWriter:
    """Turns the chunks of one stream into server-sent events."""

    def __init__(self, head: AnswerHead) -> None:
        self._head = head
        request = head.request
        self._is_telling_tokens = request.wants_token_ids or request.wants_continuous_usage
        self._offset = 0
        plain = {"delta": {"content": _TEXT}} if head.is_chat else {"text": _TEXT}
        choice = {"index": 0, **plain, "logprobs": None, "finish_reason": None}
        frame = {**_frame(head, is_stream=True), "choices": [choice]}
        before, after = json.dumps(frame, separators=(",", ":")).split(json.dumps(_TEXT))
        self._before = b"data: " + before.encode()
        self._after_text = after.removesuffix("}]}").encode()
        self._end = b"" if request.wants_continuous_usage or not request.wants_usage else b',"usage":null'
        self._fast_end = self._after_text + b"}]" + self._end + b"}\n\n"

    def opening(self) -> bytes:
        """What comes before the first token: in chat, the event that names the role."""
        if not self._head.is_chat:
            return b""
        choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        return self._slow([choice], usage=None)

    def event(self, chunk: Chunk) -> bytes:
        """The event of one chunk; empty bytes when there is nothing that the client wants to see."""
        is_bare = not chunk.text and chunk.finish is None and not chunk.logprobs
        if is_bare and (not self._is_telling_tokens or not chunk.token_ids):
            return b""
        if chunk.finish is not None or chunk.logprobs:
            return self._full(chunk)
        text = json.dumps(chunk.text).encode()
        if not self._is_telling_tokens:
            return self._before + text + self._fast_end
        ids, usage = b"", self._end
        if self._head.request.wants_token_ids:
            ids = f',"token_ids":[{",".join(map(str, chunk.token_ids))}]'.encode()
        if self._head.request.wants_continuous_usage:
            usage = b',"usage":' + json.dumps(usage_body(chunk.usage), separators=(",", ":")).encode()
        return b"".join((self._before, text, self._after_text, ids, b"}]", usage, b"}\n\n"))

    def closing(self, usage: Usage, timing: ServerTiming | None = None) -> bytes:
        """The end of a whole stream: usage, if asked for, with our own word on time beside it, and the mark."""
        if not self._head.request.wants_usage:
            return DONE
        return self._slow([], usage=usage, timing=timing) + DONE

    def _full(self, chunk: Chunk) -> bytes:
        choice = _choice(self._head, chunk, offset=self._offset, key="delta")
        self._offset += len(chunk.text)
        return self._slow([choice], usage=chunk.usage if self._head.request.wants_continuous_usage else None)

    def _slow(
        self, choices: list[dict[str, object]], *, usage: Usage | None, timing: ServerTiming | None = None
    ) -> bytes:
        body: dict[str, object] = {**_frame(self._head, is_stream=True), "choices": choices}
        if usage is not None:
            body["usage"] = usage_body(usage)
        elif self._end:
            body["usage"] = None
        if timing is not None:
            body["timing"] = timing_body(timing)
        return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


class CallEventWriter(EventWriter):
    """Events of an answer that is a call: who is called, then the arguments as they come."""

    def __init__(self, head: AnswerHead) -> None:
        super().__init__(head)
        self._reader = _reader(head)

    def opening(self) -> bytes:
        """The event that names the role."""
        choice = {"index": 0, "delta": {"role": "assistant", "content": None}, "logprobs": None, "finish_reason": None}
        return self._slow([choice], usage=None)

    def event(self, chunk: Chunk) -> bytes:
        """The event of one chunk; empty bytes when it tells nothing."""
        told = self._reader.take(chunk.text, is_last=chunk.finish is not None)
        delta: dict[str, object] = {}
        if told.name is not None:
            delta = {"tool_calls": [begun_call(call_id(self._head.id), told)]}
        elif told.arguments:
            delta = {"tool_calls": [more_of_call(told)]}
        if not delta and chunk.finish is None and not self._is_telling_tokens:
            return b""
        choice = {**_choice(self._head, chunk, offset=0, key="delta"), "delta": delta}
        return self._slow([choice], usage=chunk.usage if self._head.request.wants_continuous_usage else None)


def event_writer(head: AnswerHead) -> EventWriter:
    """The writer for what was asked."""
    return EventWriter(head) if head.request.call is None else CallEventWriter(head)


@dataclass(slots=True)
class BodyWriter:
    """Gathers the chunks of an answer that is not streamed."""

    head: AnswerHead
    prompt_scores: Sequence[TokenLogprob] | None = None
    chunks: list[Chunk] = field(default_factory=list)

    def add(self, chunk: Chunk) -> None:
        """Take the next chunk."""
        self.chunks.append(chunk)

    def body(self) -> bytes:
        """The answer, once the last chunk is there."""
        last = self.chunks[-1]
        whole = Chunk(
            token_ids=tuple(token for chunk in self.chunks for token in chunk.token_ids),
            text="".join(chunk.text for chunk in self.chunks),
            logprobs=tuple(entry for chunk in self.chunks for entry in chunk.logprobs),
            finish=last.finish,
            stop_reason=last.stop_reason,
            usage=last.usage,
            made_ns=last.made_ns,
        )
        body = {
            **_frame(self.head, is_stream=False),
            "choices": [_choice(self.head, whole, offset=0, key="message") | self._scored()],
            "usage": usage_body(whole.usage),
        }
        return json.dumps(body, separators=(",", ":")).encode()

    def _scored(self) -> dict[str, object]:
        return {} if self.prompt_scores is None else {"prompt_logprobs": prompt_logprobs(self.prompt_scores)}


def error_event(body: bytes) -> bytes:
    """The last event of a stream that failed; no `[DONE]` follows, so it cannot pass for a whole answer."""
    return b"data: " + body + b"\n\n"


def usage_body(usage: Usage) -> dict[str, object]:
    """OpenAI's usage object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def timing_body(timing: ServerTiming) -> dict[str, int]:
    """What we add to OpenAI's last event, which its clients pass over; what is unknown is left out."""
    told = {
        "first_token_ns": timing.first_token_ns,
        "queue_ns": timing.queue_ns,
        "prefill_ns": timing.prefill_ns,
    }
    return {name: value for name, value in told.items() if value is not None}


def models_body(names: Sequence[str], *, created_s: int, max_model_len: int | None) -> bytes:
    """The answer of `/v1/models`."""
    data = [
        {"id": name, "object": "model", "created": created_s, "owned_by": "tokenforge", "max_model_len": max_model_len}
        for name in names
    ]
    return json.dumps({"object": "list", "data": data}).encode()


def _frame(head: AnswerHead, *, is_stream: bool) -> dict[str, object]:
    kind = "text_completion"
    if head.is_chat:
        kind = "chat.completion.chunk" if is_stream else "chat.completion"
    return {"id": head.id, "object": kind, "created": head.created_s, "model": head.request.model}


def _choice(head: AnswerHead, chunk: Chunk, *, offset: int, key: str) -> dict[str, object]:
    choice: dict[str, object] = {"index": 0}
    if not head.is_chat:
        choice["text"] = chunk.text
    elif key == "message":
        choice["message"] = _message(head, chunk)
    else:
        choice["delta"] = {"content": chunk.text} if chunk.text else {}
    choice["logprobs"] = _logprobs(head, chunk.logprobs, offset=offset)
    choice["finish_reason"] = None if chunk.finish is None else _finish(head, chunk.finish)
    if chunk.finish is not None:
        choice["stop_reason"] = chunk.stop_reason
    if head.request.wants_token_ids:
        choice["token_ids"] = list(chunk.token_ids)
    return choice


def _message(head: AnswerHead, chunk: Chunk) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": chunk.text, "refusal": None}
    if head.request.call is None:
        return message
    told = _reader(head).take(chunk.text, is_last=True)
    calls = [] if told.name is None else [whole_call(call_id(head.id), told)]  # cut before its name was whole
    return {**message, "content": None, "tool_calls": calls}


def _finish(head: AnswerHead, finish: FinishReason) -> str:
    call = head.request.call
    is_called = call is not None and not call.is_named and finish is FinishReason.STOP
    return "tool_calls" if is_called else finish.value


def _reader(head: AnswerHead) -> CallReader:
    return CallReader(name=None if head.request.call is None else head.request.call.name)


def _logprobs(head: AnswerHead, entries: Sequence[TokenLogprob], *, offset: int) -> dict[str, object] | None:
    if head.request.sampling.logprobs is None:
        return None
    if head.is_chat:
        return chat_logprobs(entries, head.token_text, top=head.request.sampling.logprobs)
    return completion_logprobs(entries, head.token_text, offset=offset)
