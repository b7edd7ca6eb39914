"""What a client asks of `/v1/completions` and `/v1/chat/completions`, read strictly into our own words.

Every fault is found before any is reported. A field that would change the answer and that we do not know is refused,
not dropped: a client must never believe in a setting that had no effect. Fields that do not touch the answer (`user`,
`metadata`, ...) are let through. Here is no tokenizer and no engine: `refuse_unable` compares with what a runtime says.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.generation import Capabilities, Sampling
from tokenforge.protocol.openai_fields import SOURCE, Fields, is_encodable, read_object
from tokenforge.protocol.openai_format import FIELD as FORMAT
from tokenforge.protocol.openai_format import read_format, refuse_contrary
from tokenforge.protocol.openai_messages import Message, read_messages
from tokenforge.protocol.openai_tools import ForcedCall, read_tools, refuse_beside

COMPLETION_MAX_TOKENS = 16
"""OpenAI's own default of `/v1/completions`; chat goes on to the end of the model's window."""

_MAX_STOPS = 16
_MAX_LOGPROBS = 20

_HARMLESS = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prediction", "request_id"}
)

_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "min_p": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "modalities": (["text"],),
    "skip_special_tokens": (True,),
    "include_stop_str_in_output": (False,),
    "add_generation_prompt": (True,),
}
"""Fields we know but do not offer, with the values that change nothing; those alone pass."""


class Operation(enum.StrEnum):
    """The ways to ask. Only the first two are read here; the others are for a server behind a runtime that can."""

    COMPLETIONS = "completions"
    CHAT = "chat_completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIRequest:
    """One checked request. Exactly one of `prompt` (text or token ids) and `messages` is there.

    `is_open_ended`: the client gave no token limit, so `sampling.max_tokens` is only a default for completions and
    means nothing for chat; `sampling_within` puts the room there. `wants_usage` is `stream_options.include_usage`.
    `prompt_logprobs` is vLLM's own addition: the alternatives wanted for each token of the prompt. `call` is what the
    answer must be, where it must be a call of a function; `sampling.json_schema` is its schema then. `has_tools`:
    tools, calls or their results are in it, also where none may be called.
    """

    operation: Operation
    model: str
    prompt: str | tuple[int, ...] | None
    messages: tuple[Message, ...]
    sampling: Sampling
    is_open_ended: bool
    is_stream: bool
    wants_usage: bool
    wants_continuous_usage: bool
    wants_token_ids: bool
    prompt_logprobs: int | None = None
    call: ForcedCall | None = None
    has_tools: bool = False

    def sampling_within(self, room_tokens: int) -> Sampling:
        """The sampling with its token limit; an open-ended request gets what the model's window leaves."""
        if not self.is_open_ended:
            return self.sampling
        limit = self.sampling.max_tokens if self.operation is Operation.COMPLETIONS else room_tokens
        return replace(self.sampling, max_tokens=max(1, min(limit, room_tokens)))


def parse_request(body: bytes, operation: Operation) -> OpenAIRequest:
    """Read a body. Raises InvalidInput with every fault: the field, its value, and what to write instead."""
    fields = Fields(read_object(body))
    is_chat = operation is Operation.CHAT
    model = fields.text("model")
    if not model and not any(fault.field == "model" for fault in fields.faults):
        fields.fault("model", "is missing", "name a model that /v1/models lists")
    prompt = None if is_chat else _prompt(fields)
    messages = read_messages(fields) if is_chat else ()
    max_tokens = _max_tokens(fields, is_chat=is_chat)
    sampling = _sampling(fields, is_chat=is_chat, max_tokens=max_tokens or COMPLETION_MAX_TOKENS)
    if max_tokens is not None and sampling.min_tokens > max_tokens:
        fields.fault("min_tokens", f"is above max_tokens = {max_tokens}", "lower min_tokens or raise max_tokens")
    is_stream = fields.flag("stream")
    options = _stream_options(fields, is_stream=is_stream)
    wants_token_ids = fields.flag("return_token_ids")
    prompt_logprobs = None if is_chat else _prompt_logprobs(fields, is_stream=is_stream)
    call = read_tools(fields) if is_chat else None
    refuse_beside(fields, call, schema=sampling.json_schema)
    refuse_contrary(fields, schema=sampling.json_schema if call is None else call.schema)
    _refuse_unknown(fields, is_chat=is_chat)
    if fields.faults:
        raise InvalidInput(fields.faults, source=SOURCE)
    return OpenAIRequest(
        operation=operation,
        model=model or "",
        prompt=prompt,
        messages=messages,
        sampling=sampling if call is None else replace(sampling, json_schema=call.schema),
        is_open_ended=max_tokens is None,
        is_stream=is_stream,
        wants_usage="include_usage" in options,
        wants_continuous_usage="continuous_usage_stats" in options,
        wants_token_ids=wants_token_ids,
        prompt_logprobs=prompt_logprobs,
        call=call,
        has_tools=bool(fields.values.get("tools")) or any(one.calls or one.call_id for one in messages),
    )


def refuse_unable(request: OpenAIRequest, capabilities: Capabilities, *, runtime: str) -> None:
    """Raise InvalidInput for each option of `request` that the runtime cannot honour."""
    sampling = request.sampling
    is_shaped = sampling.json_schema is not None and request.call is None
    asked: tuple[tuple[str, bool, object, bool], ...] = (
        ("logprobs", sampling.logprobs is not None, sampling.logprobs, capabilities.logprobs),
        ("prompt_logprobs", request.prompt_logprobs is not None, request.prompt_logprobs, capabilities.prompt_logprobs),
        ("seed", sampling.seed is not None, sampling.seed, capabilities.seed),
        ("stop", bool(sampling.stop), list(sampling.stop), capabilities.stop),
        ("top_p", sampling.top_p != 1.0, sampling.top_p, capabilities.top_p),
        ("top_k", sampling.top_k != 0, sampling.top_k, capabilities.top_k),
        ("min_tokens", sampling.min_tokens > 0, sampling.min_tokens, capabilities.min_tokens),
        ("ignore_eos", sampling.ignore_eos, sampling.ignore_eos, capabilities.ignore_eos),
        (FORMAT, is_shaped, sampling.json_schema, capabilities.json_schema),
        ("tools", request.call is not None, "...", capabilities.tools),
    )
    faults = [
        Fault(field=name, value=value, message=f"runtime {runtime} cannot do this", hint=f"leave {name} out")
        for name, is_asked, value, is_able in asked
        if is_asked and not is_able
    ]
    if faults:
        raise InvalidInput(faults, source=SOURCE)


def _prompt(fields: Fields) -> str | tuple[int, ...] | None:
    value = fields.values.get("prompt")
    if isinstance(value, list) and value and isinstance(value[0], str | list):
        if len(value) > 1:
            fields.fault("prompt", f"holds {len(value)} prompts", "send one prompt a request")
            return None
        value = value[0]
    hint = "send a string or a list of token ids"
    if value is None:
        fields.fault("prompt", "is missing", hint)
    elif isinstance(value, str):
        if not value:
            fields.fault("prompt", "is empty", hint)
        elif not is_encodable(value):
            fields.fault("prompt", "has half a surrogate pair", "send whole Unicode characters")
        else:
            return value
    elif not isinstance(value, list) or any(type(item) is not int or not 0 <= item < 2**31 for item in value):
        fields.fault("prompt", "is neither text nor token ids", hint)
    elif not value:
        fields.fault("prompt", "is empty", hint)
    else:
        return tuple(value)
    return None


def _max_tokens(fields: Fields, *, is_chat: bool) -> int | None:
    old = fields.integer("max_tokens", low=1)
    new = fields.integer("max_completion_tokens", low=1) if is_chat else None
    if old is not None and new is not None and old != new:
        fields.fault("max_completion_tokens", f"contradicts max_tokens = {old}", "send one of the two")
    return new if new is not None else old


def _sampling(fields: Fields, *, is_chat: bool, max_tokens: int) -> Sampling:
    top_k = fields.integer("top_k", low=-1)
    return Sampling(
        max_tokens=max_tokens,
        temperature=fields.number("temperature", low=0.0, high=2.0, default=1.0),
        top_p=fields.number("top_p", low=0.0, high=1.0, default=1.0, is_low_open=True),
        top_k=0 if top_k is None or top_k == -1 else top_k,
        seed=fields.integer("seed", low=-(2**63)),
        stop=_stop(fields),
        ignore_eos=fields.flag("ignore_eos"),
        min_tokens=fields.integer("min_tokens", low=0) or 0,
        logprobs=_chat_logprobs(fields) if is_chat else fields.integer("logprobs", low=0, high=_MAX_LOGPROBS),
        json_schema=read_format(fields),
    )


def _chat_logprobs(fields: Fields) -> int | None:
    is_asked = fields.flag("logprobs")
    top = fields.integer("top_logprobs", low=0, high=_MAX_LOGPROBS)
    if top is not None and not is_asked:
        fields.fault("top_logprobs", "needs logprobs", "set logprobs to true")
    return (top or 0) if is_asked else None


def _prompt_logprobs(fields: Fields, *, is_stream: bool) -> int | None:
    top = fields.integer("prompt_logprobs", low=1, high=_MAX_LOGPROBS)
    if top is not None and is_stream:
        fields.fault("prompt_logprobs", "is only for whole answers", "set stream to false")
    return top


def _stop(fields: Fields) -> tuple[str, ...]:
    value = fields.values.get("stop", [])
    stops = [value] if isinstance(value, str) else value
    hint = f"send a string or a list of up to {_MAX_STOPS} strings, none empty"
    if not isinstance(stops, list) or len(stops) > _MAX_STOPS:
        fields.fault("stop", "is not a list of stop strings", hint)
        return ()
    if any(not isinstance(item, str) or not item or not is_encodable(item) for item in stops):
        fields.fault("stop", "holds something that is not a stop string", hint)
        return ()
    return tuple(stops)


def _stream_options(fields: Fields, *, is_stream: bool) -> frozenset[str]:
    """The names of the options that are on."""
    value = fields.values.get("stream_options")
    if value is None:
        return frozenset()
    if not isinstance(value, dict):
        fields.fault("stream_options", "is not an object", 'write {"include_usage": true}')
        return frozenset()
    if not is_stream:
        fields.fault("stream_options", "is only for streams", "set stream to true, or leave stream_options out")
    inner = Fields(value, path="stream_options.")
    known = ("include_usage", "continuous_usage_stats", "include_obfuscation")
    on = frozenset(name for name in known if inner.flag(name))
    for name in sorted(set(inner.values) - set(known)):
        inner.fault(name, "is not known", f"known are {', '.join(known)}")
    fields.faults.extend(inner.faults)
    return on


_READ_SAMPLING = frozenset({"max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "ignore_eos", "min_tokens"})
_READ = _READ_SAMPLING | {"model", "stream", "stream_options", "logprobs", "return_token_ids", FORMAT}
_READ_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
_READ_CHAT = _READ | _READ_TOOLS | {"messages", "max_completion_tokens", "top_logprobs"}
_READ_COMPLETIONS = _READ | {"prompt", "prompt_logprobs"}


def _refuse_unknown(fields: Fields, *, is_chat: bool) -> None:
    known = (_READ_CHAT if is_chat else _READ_COMPLETIONS) | _HARMLESS
    for name, value in fields.values.items():
        if name in known:
            continue
        if name not in _NEUTRAL:
            fields.fault(name, "is not a field of this call", "leave it out")
        elif not any(
            value == neutral and isinstance(value, bool) == isinstance(neutral, bool) for neutral in _NEUTRAL[name]
        ):
            hint = f"leave it out or send {_NEUTRAL[name][0]!r}"
            fields.fault(name, "is not offered here", hint)
