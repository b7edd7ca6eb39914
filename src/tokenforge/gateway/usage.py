"""How many tokens a client was given, read from the end of an answer alone.

An engine tells its usage in the last event of a stream, or at the end of a whole answer. Of a stream that was cut, or
whose client did not ask for usage, as many tokens were delivered as events with text: one each, as engines send them.
"""

import re
from typing import NamedTuple

_USAGE = re.compile(rb'"usage":\s*\{[^{}]*?"prompt_tokens":\s*(\d{1,12})[^{}]*?"completion_tokens":\s*(\d{1,12})')
_DONE = b"data: [DONE]"


class Usage(NamedTuple):
    """Tokens delivered. `source`: `engine`, or `events` where the engine did not tell: the prompt is unknown."""

    prompt_tokens: int
    completion_tokens: int
    source: str


def usage_in(end: bytes) -> Usage | None:
    """What the engine says at the end of an answer; None when it says nothing."""
    told = _USAGE.match(end, max(0, end.rfind(b'"usage"')))
    if told is None:
        return None
    return Usage(int(told[1]), int(told[2]), "engine")


def usage_of_stream(end: bytes, *, events: int) -> Usage:
    """The same of a stream, whole or cut, of so many events."""
    told = usage_in(end)
    if told is not None:
        return told
    return Usage(prompt_tokens=0, completion_tokens=max(0, events - end.count(_DONE)), source="events")
