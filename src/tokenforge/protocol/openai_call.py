"""An answer that is a call: its text read as name and arguments, and told in OpenAI's words, whole or as it comes."""

import json
import re
from dataclasses import dataclass, field

_HEAD = re.compile(r'\{\s*"name"\s*:\s*"([a-zA-Z0-9_-]+)"\s*,\s*"arguments"\s*:\s*')


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a piece of text tells: the function's name, once, and more of its arguments."""

    name: str | None = None
    arguments: str = ""


@dataclass(slots=True, kw_only=True)
class CallReader:
    """Reads one call from its text. `name`: the function where the text is its arguments alone."""

    name: str | None
    is_told: bool = False
    _held: str = field(default="")
    _arguments: str = field(default="")
    _is_within: bool = field(default=False)

    def take(self, text: str, *, is_last: bool) -> Told:
        """The next piece. A call that was cut is told as far as it came."""
        if self.name is not None and not self._is_within:
            name, self.is_told = (None if self.is_told else self.name), True
            return Told(name=name, arguments=text)
        self._held += text
        name = None
        if not self._is_within:
            head = _HEAD.match(self._held)
            if head is None:
                return Told()
            name = self.name = head[1]
            self._is_within = self.is_told = True
            self._held = self._held[head.end() :]
        kept = len(self._held.rstrip()) - 1  # the brace of the object around may be the last one
        arguments, self._held = self._held[: max(0, kept)], self._held[max(0, kept) :]
        self._arguments += arguments
        if is_last and not _is_json(self._arguments):  # cut: what is held is of the arguments
            arguments, self._held = arguments + self._held, ""
        return Told(name=name, arguments=arguments)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def call_id(answer_id: str) -> str:
    """The id of an answer's one call."""
    return f"call_{answer_id.rpartition('-')[2]}"


def begun_call(identity: str, told: Told) -> dict[str, object]:
    """The first piece of a streamed call: who is called."""
    return {"index": 0, **whole_call(identity, told)}


def more_of_call(told: Told) -> dict[str, object]:
    """A further piece of a streamed call."""
    return {"index": 0, "function": {"arguments": told.arguments}}


def whole_call(identity: str, told: Told) -> dict[str, object]:
    """A call as it stands in a message."""
    function = {"name": told.name, "arguments": told.arguments}
    return {"id": identity, "type": "function", "function": function}
