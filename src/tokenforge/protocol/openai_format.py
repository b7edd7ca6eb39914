"""`response_format`: whether an answer is free text, or JSON that fits a schema."""

import re
from collections.abc import Mapping

from tokenforge.protocol.json_schema import read_schema
from tokenforge.protocol.openai_fields import Fields

FIELD = "response_format"
ANY_OBJECT = '{"type":"object"}'
"""What `json_object` asks for."""

_KINDS = ("text", "json_object", "json_schema")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")


def read_format(fields: Fields) -> str | None:
    """The JSON Schema that the answer must fit, as text; None for free text. Faults are noted by their path."""
    value = fields.values.get(FIELD)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        fields.fault(FIELD, "is not an object", 'write {"type": "json_object"}')
        return None
    inner = Fields(value, path=f"{FIELD}.")
    kind = inner.text("type")
    if kind not in _KINDS:
        inner.fault("type", "is not a format", f"write one of {', '.join(_KINDS)}")
    schema = _schema(inner) if kind == "json_schema" else None
    known = {"type", "json_schema"} if kind == "json_schema" else {"type"}
    for name in sorted(set(inner.values) - known):
        inner.fault(name, f"is not a field of the format {kind}", "leave it out")
    fields.faults.extend(inner.faults)
    return ANY_OBJECT if kind == "json_object" else schema


def refuse_contrary(fields: Fields, *, schema: str | None) -> None:
    """Note what would end JSON too early or too late. A stop text is the client's own wish, and so is a token limit."""
    if schema is None:
        return
    for name in ("ignore_eos", "min_tokens"):
        if fields.values.get(name):
            fields.fault(name, "goes on after the JSON has ended", "leave it out")


def _schema(outer: Fields) -> str | None:
    value = outer.values.get("json_schema")
    if not isinstance(value, Mapping):
        outer.fault("json_schema", "is missing or not an object", 'write {"name": "answer", "schema": {...}}')
        return None
    inner = Fields(value, path=f"{FIELD}.json_schema.")
    name = inner.text("name")
    if name is None or not _NAME.match(name):
        inner.fault("name", "is not a name", "write up to 64 letters, digits, _ and -")
    inner.text("description")
    inner.flag("strict")  # it is always strict here
    for extra in sorted(set(inner.values) - {"name", "description", "strict", "schema"}):
        inner.fault(extra, "is not a field of json_schema", "leave it out")
    text = None
    if "schema" not in inner.values:
        inner.fault("schema", "is missing", 'write {"type": "object", "properties": {...}}')
    else:
        text, faults = read_schema(inner.values["schema"], place=f"{FIELD}.json_schema.schema")
        inner.faults.extend(faults)
    outer.faults.extend(inner.faults)
    return text
