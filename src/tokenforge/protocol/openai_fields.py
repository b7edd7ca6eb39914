"""Read single fields of a JSON body with their type and range, and keep every fault instead of stopping at the first.

`null` is the same as absent, as OpenAI's own clients send it. A bool is never taken for a number.
"""

import json
import re
from collections.abc import Mapping

from tokenforge.domain.errors import Fault, InvalidInput

SOURCE = "request body"
_HALF_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escape that is one half of a pair; the other may follow."""


def read_object(body: bytes) -> Mapping[str, object]:
    """The body as a JSON object. Raises InvalidInput for anything else: NaN, nesting without end, a name twice."""
    return _object(body, _READING)


def peek_object(body: bytes) -> Mapping[str, object]:
    """Like `read_object`, but a name may stand twice: for who passes the body on to one that reads it strictly."""
    from pydantic_core import from_json  # some megabytes: for who reads a body

    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    return _object(body, _PEEKING)  # it finds the words for what is wrong, or reads what the quicker one does not


def _object(body: bytes, decoder: json.JSONDecoder) -> Mapping[str, object]:
    try:
        encoding = "utf-8" if body.startswith(b'{"') else json.detect_encoding(body)
        value = decoder.decode(body.decode(encoding, "surrogatepass"))
    except RecursionError:
        raise InvalidInput([_whole(body, "is nested too deeply", "send a flat object")], source=SOURCE) from None
    except ValueError as error:
        raise InvalidInput([_whole(body, f"is not JSON: {error}", "send a JSON object")], source=SOURCE) from None
    if not isinstance(value, dict):
        raise InvalidInput([_whole(body, "is JSON but not an object", "send a JSON object")], source=SOURCE)
    return value


def read_whole_text(body: bytes) -> Mapping[str, object]:
    """Like `read_object`, and every text in it can be UTF-8: for what is stored and shown. Raises InvalidInput."""
    values = read_object(body)
    if _HALF_PAIR.search(body) is None:
        return values
    faults = [
        Fault(field=name, value="", message="has half a surrogate pair", hint="send whole Unicode characters")
        for name, value in values.items()
        if not is_encodable(json.dumps({name: value}, ensure_ascii=False))
    ]
    if faults:
        raise InvalidInput(faults, source=SOURCE)
    return values


class Fields:
    """One object being read. Each method takes a name, gives the checked value or its default, and notes faults."""

    def __init__(self, values: Mapping[str, object], *, path: str = "") -> None:
        self.values = {name: value for name, value in values.items() if value is not None}
        self.faults: list[Fault] = []
        self._path = path

    def fault(self, name: str, message: str, hint: str = "") -> None:
        """Note one fault of the field `name`."""
        self.faults.append(Fault(field=self._path + name, value=self.values.get(name), message=message, hint=hint))

    def integer(self, name: str, *, low: int, high: int = 2**63 - 1) -> int | None:
        """A whole number within [low, high]; 3.0 is not one."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(name, "is not a whole number", f"write a number from {low} to {high}")
            return None
        if not low <= value <= high:
            self.fault(name, "is out of range", f"write a number from {low} to {high}")
            return None
        return value

    def number(self, name: str, *, low: float, high: float, default: float, is_low_open: bool = False) -> float:
        """A number within [low, high], or (low, high] when `is_low_open`."""
        value = self.values.get(name, default)
        hint = f"write a number {'above' if is_low_open else 'from'} {low:g} {'up ' if is_low_open else ''}to {high:g}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fault(name, "is not a number", hint)
            return default
        if not low <= value <= high or (is_low_open and value == low):
            self.fault(name, "is out of range", hint)
            return default
        return float(value)

    def flag(self, name: str) -> bool:
        """A boolean, false when absent."""
        value = self.values.get(name, False)
        if not isinstance(value, bool):
            self.fault(name, "is not a boolean", "write true or false")
            return False
        return value

    def text(self, name: str) -> str | None:
        """A string that can be written as UTF-8."""
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.fault(name, "is not a string", "write a JSON string")
            return None
        if not is_encodable(value):
            self.fault(name, "has half a surrogate pair", "send whole Unicode characters")
            return None
        return value


def is_encodable(text: str) -> bool:
    """Whether `text` can be UTF-8: JSON escapes can spell half a surrogate pair, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _whole(body: bytes, message: str, hint: str) -> Fault:
    return Fault(field="body", value=body[:60].decode("utf-8", "replace"), message=message, hint=hint)


def _refuse_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Which of two values is meant cannot be known; others may take the first."""
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it names {next(name for name in names if names.count(name) > 1)[:80]!r} twice")
    return made


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


_READING = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_refuse_twice)
_PEEKING = json.JSONDecoder(parse_constant=_refuse_constant)
"""Made once: `json.loads` makes one for each call that asks for anything but its defaults."""
