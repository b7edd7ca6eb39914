"""The words of JSON Schema that are taken, and how much of each.

The bounds are above what schemas in use have, and low enough that the grammar of the largest one is compiled in a few
seconds: xgrammar 0.2.8 takes longest for bounds on lengths, 0.02 s of CPU a character with 128,000 tokens.
"""

from collections.abc import Mapping

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
FORMATS = ("date", "time", "date-time", "uuid")
"""Held to by their form: `2026-02-31` has that of a date."""

MOST_BYTES = 32_768
MOST_DEPTH = 16
MOST_BRANCHES = 32
_MOST_ITEMS = 128
_MOST_CHARS = 128
"""xgrammar 0.2.8 compiles no longer repetition where its cache is on."""
_MOST_INTEGER = 2**53 - 1
"""Beyond it, a number is not the same in every reader of JSON."""

MOST_IN_ALL: Mapping[str, int] = {
    "properties and definitions": 256,
    "values": 500,
    "branches": 128,
    "characters of names and values": 8_192,
    "characters of different length bounds": 256,
    "numbers with bounds": 32,
}

ANNOTATIONS = frozenset(
    {"title", "description", "default", "examples", "$schema", "$comment", "deprecated", "readOnly", "writeOnly"}
)
"""They say nothing of what is valid."""

BOUNDS: Mapping[str, tuple[int, int]] = {
    "minItems": (0, _MOST_ITEMS),
    "maxItems": (0, _MOST_ITEMS),
    "minLength": (0, _MOST_CHARS),
    "maxLength": (0, _MOST_CHARS),
    "minimum": (-_MOST_INTEGER, _MOST_INTEGER),
    "maximum": (-_MOST_INTEGER, _MOST_INTEGER),
    "exclusiveMinimum": (-_MOST_INTEGER, _MOST_INTEGER),
    "exclusiveMaximum": (-_MOST_INTEGER, _MOST_INTEGER),
}
"""Keywords with a whole number, and its range."""

PAIRS = (
    ("minItems", "maxItems", 0),
    ("minLength", "maxLength", 0),
    ("minimum", "maximum", 0),
    ("exclusiveMinimum", "maximum", 1),
    ("minimum", "exclusiveMaximum", 1),
    ("exclusiveMinimum", "exclusiveMaximum", 2),
)
"""Lower and upper bound, and by how much the upper one must be above for a whole number to be left."""

_NUMBERS = ("integer", "number")
BELONGS: Mapping[str, tuple[str, ...]] = {
    "properties": ("object",),
    "required": ("object",),
    "additionalProperties": ("object",),
    "items": ("array",),
    "minItems": ("array",),
    "maxItems": ("array",),
    "minLength": ("string",),
    "maxLength": ("string",),
    "format": ("string",),
    "minimum": _NUMBERS,
    "maximum": _NUMBERS,
    "exclusiveMinimum": _NUMBERS,
    "exclusiveMaximum": _NUMBERS,
}
"""The types that a keyword speaks of."""

ALONE = ("$ref", "anyOf", "enum", "const")
"""Each says all of a schema; only `enum` and `const` may have a `type` beside them."""

KEYWORDS = ("type", *BELONGS, *ALONE, "$defs", "definitions")


def kinds_of(value: object) -> set[str]:
    """The types that a plain value is of; empty for a list, an object, a number that readers of JSON differ on."""
    if value is None:
        return {"null"}
    if isinstance(value, bool):
        return {"boolean"}
    if isinstance(value, int):
        return set(_NUMBERS) if abs(value) <= _MOST_INTEGER else set()
    if isinstance(value, float):
        return {"number"}
    return {"string"} if isinstance(value, str) else set()
