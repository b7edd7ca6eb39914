"""The JSON Schema that an answer may be held to: a bounded part of it, read before any engine sees it.

What is taken is what engines enforce, so an answer that ended by itself fits its schema. A keyword beyond that is
refused by its path, never dropped; so is a schema whose grammar would be large, or which no finite answer fits: to
compile such a one can take an engine's memory or its time. Annotations (`title`, `description`, ...) pass. Nothing here
knows an engine.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tokenforge.domain.errors import Fault
from tokenforge.protocol.json_schema_refs import DEFINITIONS, find_endless, find_target
from tokenforge.protocol.json_schema_words import (
    ALONE,
    ANNOTATIONS,
    BELONGS,
    BOUNDS,
    FORMATS,
    KEYWORDS,
    MOST_BRANCHES,
    MOST_BYTES,
    MOST_DEPTH,
    MOST_IN_ALL,
    PAIRS,
    TYPES,
    kinds_of,
)
from tokenforge.protocol.openai_fields import is_encodable

_MOST_FAULTS = 8


def read_schema(value: object, *, place: str) -> tuple[str | None, list[Fault]]:
    """The schema as compact JSON text, or what is wrong with it, each fault with its path from `place`."""
    reader = _Reader(root=value, place=place)
    text = reader.read()
    return (None if reader.faults else text), reader.faults


@dataclass(slots=True, kw_only=True)
class _Reader:
    """One schema being read.

    `sums` are what it has in all, by the words of `MOST_IN_ALL`; `lengths` the different bounds of its texts.
    """

    root: object
    place: str
    faults: list[Fault] = field(default_factory=list)
    sums: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MOST_IN_ALL, 0))
    lengths: set[tuple[int, int]] = field(default_factory=set)

    def read(self) -> str | None:
        """The schema as text; None, or any text, where there are faults."""
        text = self._text()
        if text is None:
            return None
        self._schema(self.root, self.place, depth=1)
        for what, most in MOST_IN_ALL.items():
            if self.sums[what] > most:
                self._fault(self.place, "{...}", f"has {self.sums[what]} {what} in all", f"have {most} or fewer")
        if not self.faults and (endless := find_endless(self.root)) is not None:
            hint = "let the recursion end, for example by anyOf with null"
            self._fault(self.place, endless, "describes no value that ends", hint)
        return text

    def _text(self) -> str | None:
        """The whole as JSON, when it is of a size to be read."""
        if not isinstance(self.root, Mapping):
            self._fault(self.place, self.root, "is not a JSON Schema", 'write {"type": "object", "properties": {...}}')
            return None
        try:
            text = json.dumps(self.root, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        except RecursionError:
            self._fault(self.place, "{...}", "is nested too deeply", f"nest at most {MOST_DEPTH} schemas")
            return None
        except ValueError:
            self._fault(self.place, "{...}", "holds a number that JSON cannot", "write finite numbers")
            return None
        if not is_encodable(text):
            self._fault(self.place, "{...}", "has half a surrogate pair", "send whole Unicode characters")
            return None
        if (size := len(text.encode())) > MOST_BYTES:
            self._fault(self.place, "{...}", f"is {size} bytes of JSON", f"send {MOST_BYTES} bytes or fewer")
            return None
        return text

    def _fault(self, path: str, value: object, message: str, hint: str = "") -> None:
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(Fault(field=path, value=value, message=message, hint=hint))

    def _schema(self, schema: object, path: str, *, depth: int) -> None:
        if not isinstance(schema, Mapping):
            self._fault(path, schema, "is not a schema", 'write an object such as {"type": "string"}')
            return
        if depth > MOST_DEPTH:
            self._fault(path, "{...}", "is nested too deeply", f"nest at most {MOST_DEPTH} schemas")
            return
        known_faults = len(self.faults)
        self._words(schema, path, depth=depth)
        types = self._types(schema, path)
        self._fitting(schema, path, types=types)
        if len(self.faults) > known_faults:
            return
        for name, check in self._checks().items():
            if name in schema:
                check(schema[name], f"{path}.{name}", depth)
        for name in ("const", "enum"):
            if name in schema:
                self._values(schema[name], f"{path}.{name}", types=types, is_list=name == "enum")
        self._bounds(schema, path)
        self._required(schema, path)

    def _checks(self) -> Mapping[str, Callable[[object, str, int], None]]:
        """Keywords that hold schemas, or lead to one."""
        return {
            "properties": self._named, "items": self._inner, "additionalProperties": self._additional,
            "anyOf": self._branches, "$ref": self._reference, "format": self._format,
            **dict.fromkeys(DEFINITIONS, self._named),
        }  # fmt: skip

    def _words(self, schema: Mapping[str, object], path: str, *, depth: int) -> None:
        """Whether each keyword is known and may stand beside the others."""
        for name in schema:
            if name not in KEYWORDS and name not in ANNOTATIONS:
                hint = f"offered are {', '.join(KEYWORDS)}"
                self._fault(f"{path}.{name[:60]}", schema[name], "is not offered here", hint)
            elif name in DEFINITIONS and depth > 1:
                self._fault(f"{path}.{name}", None, "is only offered at the top", "move it there")
        self._beside(schema, path)

    def _beside(self, schema: Mapping[str, object], path: str) -> None:
        """Whether its keywords can be enforced together."""
        alone = next((name for name in ALONE if name in schema), None)
        if alone is not None:
            beside = {"type"} if alone in ("enum", "const") else set()
            extra = sorted(set(schema) & set(KEYWORDS) - beside - {alone} - set(DEFINITIONS))
            if extra:
                self._fault(f"{path}.{extra[0]}", None, f"stands beside {alone}", "leave one of the two out")
        if "format" in schema and {"minLength", "maxLength"} & set(schema):
            self._fault(f"{path}.format", None, "stands beside a length", "leave one of the two out")
        others = schema.get("additionalProperties", False)
        if others is not False and schema.get("properties"):
            hint = "write false; names that are not in `properties` are offered only where there are none in it"
            self._fault(f"{path}.additionalProperties", others, "stands beside properties", hint)

    def _types(self, schema: Mapping[str, object], path: str) -> tuple[str, ...]:
        if "type" not in schema:
            return ()
        said = schema["type"]
        names = said if isinstance(said, list) and said else [said]
        is_known = all(isinstance(name, str) and name in TYPES for name in names)
        if not is_known or len(set(names)) < len(names):
            self._fault(f"{path}.type", said, "is not a type", f"write one or several of {', '.join(TYPES)}")
            return ()
        return tuple(names)

    def _fitting(self, schema: Mapping[str, object], path: str, *, types: tuple[str, ...]) -> None:
        """A keyword of one type says nothing where the type is another."""
        for name, kinds in BELONGS.items():
            if name in schema and not set(kinds) & set(types):
                said = "it is " + "/".join(types) if types else "there is none"
                self._fault(f"{path}.{name}", None, f"needs type {' or '.join(kinds)}, {said}", "add or change `type`")
                return

    def _named(self, value: object, path: str, depth: int) -> None:
        if not isinstance(value, Mapping):
            self._fault(path, value, "is not an object of schemas", 'write {"name": {"type": "string"}}')
            return
        self.sums["properties and definitions"] += len(value)
        for name, schema in value.items():
            self.sums["characters of names and values"] += len(name)
            self._schema(schema, f"{path}.{name[:60]}", depth=depth + 1)

    def _inner(self, value: object, path: str, depth: int) -> None:
        self._schema(value, path, depth=depth + 1)

    def _additional(self, value: object, path: str, depth: int) -> None:
        if not isinstance(value, bool):
            self._schema(value, path, depth=depth + 1)

    def _branches(self, value: object, path: str, depth: int) -> None:
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_BRANCHES:
            self._fault(path, None, "is not a list of schemas", f"write 1 to {MOST_BRANCHES} of them")
            return
        self.sums["branches"] += len(value)
        for place, schema in enumerate(value):
            self._schema(schema, f"{path}[{place}]", depth=depth + 1)

    def _reference(self, value: object, path: str, depth: int) -> None:
        del depth
        if not isinstance(value, str) or find_target(self.root, value) is None:
            self._fault(path, value, "leads nowhere", "write # or #/$defs/NAME, with NAME in $defs at the top")

    def _format(self, value: object, path: str, depth: int) -> None:
        del depth
        if value not in FORMATS:
            self._fault(path, value, "is not offered here", f"write one of {', '.join(FORMATS)}")

    def _values(self, value: object, path: str, *, types: tuple[str, ...], is_list: bool) -> None:
        """Of `enum` and `const`: plain values, each of the type beside it."""
        values = value if is_list else [value]
        if not isinstance(values, list) or not values:
            self._fault(path, value, "is not a list of values", 'write ["a", "b"]')
            return
        self.sums["values"] += len(values)
        for one in values:
            kinds = kinds_of(one)
            if not kinds:
                self._fault(path, one, "is not a plain value", "write texts, numbers, true, false or null")
                return
            if types and not kinds & set(types):
                self._fault(path, one, f"is not of type {' or '.join(types)}", "leave it out, or change `type`")
                return
            self.sums["characters of names and values"] += len(one) if isinstance(one, str) else 1

    def _bounds(self, schema: Mapping[str, object], path: str) -> None:
        for name, (least, most) in BOUNDS.items():
            value = schema.get(name)
            if name in schema and (type(value) is not int or not least <= value <= most):
                self._fault(f"{path}.{name}", value, "is out of range", f"write a whole number from {least} to {most}")
                return
        self.sums["numbers with bounds"] += any(name in schema and "imum" in name for name in BOUNDS)
        if "minLength" in schema or "maxLength" in schema:
            self.lengths.add((_number(schema, "minLength"), _number(schema, "maxLength")))
            self.sums["characters of different length bounds"] = sum(max(bounds) for bounds in self.lengths)
        for low, high, gap in PAIRS:
            if low in schema and high in schema and _number(schema, high) - _number(schema, low) < gap:
                self._fault(f"{path}.{high}", schema[high], f"leaves no value with {low} {schema[low]}", "raise it")

    def _required(self, schema: Mapping[str, object], path: str) -> None:
        required, properties = schema.get("required", []), schema.get("properties", {})
        if not isinstance(required, list) or any(not isinstance(name, str) for name in required):
            self._fault(f"{path}.required", required, "is not a list of names", 'write ["a", "b"]')
            return
        missing = [name for name in required if not isinstance(properties, Mapping) or name not in properties]
        if missing:
            self._fault(f"{path}.required", missing[0], "names no property", "describe it in properties")


def _number(schema: Mapping[str, object], name: str) -> int:
    """A bound that was found to be a whole number; 0 where it is not there."""
    value = schema.get(name, 0)
    return value if isinstance(value, int) else 0
