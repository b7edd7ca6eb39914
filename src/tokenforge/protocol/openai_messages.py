"""The messages of a chat request: roles, plain text, and calls of functions with their results.

Images and audio are refused: a template that silently skipped them would answer another question.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tokenforge.protocol.openai_fields import Fields, is_encodable
from tokenforge.protocol.openai_tools import read_arguments

ROLES = ("system", "developer", "user", "assistant", "tool")
_ALSO: Mapping[str, tuple[str, ...]] = {"assistant": ("tool_calls", "refusal"), "tool": ("tool_call_id",)}
"""Fields beyond role, content and name. A `refusal` is part of what OpenAI's clients send back, null here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that the assistant made."""

    id: str
    name: str
    arguments: Mapping[str, object]

    def as_template_value(self) -> dict[str, object]:
        """The mapping that chat templates expect."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn, as chat templates read it. `name` is the speaker's, if the client gave one.

    `calls` are those that the assistant made in it; `call_id` is the call whose result it is.
    """

    role: str
    content: str
    name: str | None = None
    calls: tuple[Call, ...] = ()
    call_id: str | None = None

    def as_template_value(self) -> dict[str, object]:
        """The mapping that chat templates expect."""
        value: dict[str, object] = {"role": self.role, "content": self.content}
        if self.name is not None:
            value["name"] = self.name
        if self.calls:
            value["tool_calls"] = [call.as_template_value() for call in self.calls]
        if self.call_id is not None:
            value["tool_call_id"] = self.call_id
        return value


def read_messages(fields: Fields) -> tuple[Message, ...]:
    """Read `messages` of a body, noting every fault by its place (`messages[2].role`)."""
    values = fields.values.get("messages")
    if not isinstance(values, list) or not values:
        fields.fault("messages", "is not a list of messages", 'write [{"role": "user", "content": "..."}]')
        return ()
    messages = [_message(fields, value, place=f"messages[{index}]") for index, value in enumerate(values)]
    return tuple(message for message in messages if message is not None)


def _message(fields: Fields, value: object, *, place: str) -> Message | None:
    if not isinstance(value, Mapping):
        fields.fault(place, "is not an object", 'write {"role": "user", "content": "..."}')
        return None
    inner = Fields(value, path=f"{place}.")
    role = inner.text("role")
    if role not in ROLES:
        inner.fault("role", "is not a role", f"write one of {', '.join(ROLES)}")
    calls = _calls(inner) if role == "assistant" else ()
    content = "" if calls and "content" not in inner.values else _content(inner)
    name = inner.text("name")
    call_id = inner.text("tool_call_id") if role == "tool" else None
    known = {"role", "content", "name", *_ALSO.get(role or "", ())}
    for extra in sorted(set(inner.values) - known):
        inner.fault(extra, f"is not offered here for role {role}", f"send {', '.join(sorted(known))} only")
    fields.faults.extend(inner.faults)
    if inner.faults or role is None or content is None:
        return None
    return Message(role=role, content=content, name=name, calls=calls, call_id=call_id)


def _calls(inner: Fields) -> tuple[Call, ...]:
    """The calls of an assistant's turn."""
    value = inner.values.get("tool_calls", [])
    calls = [_call(one) for one in value] if isinstance(value, list) else [None]
    if any(call is None for call in calls):
        hint = 'send {"id": "...", "type": "function", "function": {"name": "...", "arguments": "{...}"}}'
        inner.fault("tool_calls", "is not a list of calls whose arguments are a JSON object", hint)
        return ()
    return tuple(call for call in calls if call is not None)


def _call(value: object) -> Call | None:
    function = value.get("function") if isinstance(value, Mapping) and value.get("type") == "function" else None
    if not isinstance(value, Mapping) or not isinstance(function, Mapping):
        return None
    identity, name, text = value.get("id"), function.get("name"), function.get("arguments")
    if not isinstance(identity, str) or not isinstance(name, str) or not isinstance(text, str):
        return None
    arguments = read_arguments(text)
    if arguments is None or not is_encodable(identity + name + text):
        return None
    return Call(id=identity, name=name, arguments=arguments)


def _content(inner: Fields) -> str | None:
    """A string, or the text parts joined."""
    value = inner.values.get("content")
    if isinstance(value, list):
        parts = [part.get("text") if _is_text_part(part) else None for part in value]
        if not parts or any(not isinstance(part, str) for part in parts):
            inner.fault("content", "holds a part that is not text", 'send parts {"type": "text", "text": "..."}')
            return None
        value = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(value, str) or not is_encodable(value):
        inner.fault("content", "is not text", "send a string of whole Unicode characters, or a list of text parts")
        return None
    return value


def _is_text_part(part: object) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text"
