"""Read single fields of a JSON body with their type and range, and keep every fault instead of stopping at the first.

`null` is the same as absent, as OpenAI's own clients send it. A bool is never taken for a number.
"""

import json
from collections.abc import Mapping

from tokenforge.domain.errors import Fault, InvalidInput

SOURCE = "request body"


def read_object(body: bytes) -> Mapping[str, object]:
    """The body as a JSON object. Raises InvalidInput for anything else (also NaN, or nesting without end)."""
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidInput([_whole(body, "is nested too deeply", "send a flat object")], source=SOURCE) from None
    except ValueError as error:
        raise InvalidInput([_whole(body, f"is not JSON: {error}", "send a JSON object")], source=SOURCE) from None
    if not isinstance(value, dict):
        raise InvalidInput([_whole(body, "is JSON but not an object", "send a JSON object")], source=SOURCE)
    return value


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


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")
