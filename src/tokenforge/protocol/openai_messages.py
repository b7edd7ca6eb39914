"""The messages of a chat request: roles and plain text.

Images, audio and tool calls are refused: a template that silently skipped them would answer another question.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tokenforge.protocol.openai_fields import Fields, is_encodable

ROLES = ("system", "developer", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn, as chat templates read it. `name` is the speaker's, if the client gave one."""

    role: str
    content: str
    name: str | None = None

    def as_template_value(self) -> dict[str, str]:
        """The mapping that chat templates expect."""
        value = {"role": self.role, "content": self.content}
        return value if self.name is None else {**value, "name": self.name}


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
    content = _content(inner)
    name = inner.text("name")
    for extra in sorted(set(inner.values) - {"role", "content", "name"}):
        inner.fault(extra, "is not offered here", "send role, content and name only")
    fields.faults.extend(inner.faults)
    if inner.faults or role is None or content is None:
        return None
    return Message(role=role, content=content, name=name)


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
