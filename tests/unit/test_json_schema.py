"""Which JSON Schemas an answer may be held to: what engines enforce passes, all else is refused by its path."""

import json
import sys
from typing import Any

import pytest

from tokenforge.protocol.json_schema import read_schema
from tokenforge.protocol.json_schema_words import MOST_BYTES, MOST_DEPTH, MOST_IN_ALL


def faults_of(schema: object) -> list[str]:
    text, faults = read_schema(schema, place="s")
    assert (text is None) == bool(faults)
    return [fault.field for fault in faults]


def obj(**properties: object) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


TREE = {
    "$defs": {"node": {"type": "object", "properties": {"a": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}},
    "$ref": "#/$defs/node",
}  # fmt: skip


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "boolean", "title": "t", "description": "d", "default": True, "examples": [{"any": ["thing"]}]},
        {"enum": ["a", 1, 2.5, True, None]},
        {"type": "string", "const": 'a"b'},
        obj(a={"type": "boolean"}, title={"type": "string", "minLength": 1, "maxLength": 9}, items=obj()),
        {"type": ["string", "null"], "format": "date-time"},
        {"type": "array", "items": {"type": "integer", "minimum": -1}, "minItems": 0, "maxItems": 3},
        {"type": "number", "exclusiveMaximum": 9},
        {"type": "object", "additionalProperties": {"type": "number"}},
        {"type": "object", "additionalProperties": True},
        TREE,
        {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}, "required": ["kids"]},
    ],
)  # fmt: skip
def test_what_engines_enforce_passes_as_it_is(schema: object) -> None:
    text, faults = read_schema(schema, place="s")
    assert (faults, json.loads(text or "")) == ([], schema)


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ([], "s"),
        (True, "s"),
        ("string", "s"),
        ({"type": "text"}, "s.type"),
        ({"type": ["string", "string"]}, "s.type"),
        ({"type": []}, "s.type"),
        ({"type": None}, "s.type"),
        ({"oneOf": [{"type": "null"}]}, "s.oneOf"),
        ({"allOf": [{"type": "null"}]}, "s.allOf"),
        ({"type": "string", "pattern": "(a+)+$"}, "s.pattern"),
        ({"type": "string", "format": "email"}, "s.format"),
        ({"type": "string", "format": "uuid", "maxLength": 3}, "s.format"),
        (obj(a={"not": {}}), "s.properties.a.not"),
        ({"type": "object", "properties": []}, "s.properties"),
        ({"type": "object", "properties": {"a": True}}, "s.properties.a"),
        ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, "s.required"),
        ({"type": "object", "required": "a"}, "s.required"),
        ({"type": "object", "properties": {"a": {}}, "additionalProperties": {}}, "s.additionalProperties"),
        ({"properties": {"a": {}}}, "s.properties"),
        ({"type": "string", "minimum": 2}, "s.minimum"),
        ({"type": "integer", "minimum": 2.5}, "s.minimum"),
        ({"type": "integer", "minimum": True}, "s.minimum"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "s.maximum"),
        ({"type": "integer", "exclusiveMinimum": 2, "exclusiveMaximum": 3}, "s.exclusiveMaximum"),
        ({"type": "string", "maxLength": 10**9}, "s.maxLength"),
        ({"type": "string", "minLength": -1}, "s.minLength"),
        ({"type": "array", "items": {}, "maxItems": 10**6}, "s.maxItems"),
        ({"type": "array", "items": [{}]}, "s.items"),
        ({"enum": []}, "s.enum"),
        ({"enum": {"a": 1}}, "s.enum"),
        ({"enum": [{}]}, "s.enum"),
        ({"const": [1]}, "s.const"),
        ({"const": 10**40}, "s.const"),
        ({"type": "string", "enum": ["a", 1]}, "s.enum"),
        ({"enum": ["a"], "anyOf": [{}]}, "s.enum"),
        ({"anyOf": []}, "s.anyOf"),
        ({"anyOf": {}}, "s.anyOf"),
        ({"anyOf": [{}], "type": "object"}, "s.type"),
        ({"$ref": "#/$defs/a"}, "s.$ref"),
        ({"$ref": "http://127.0.0.1/schema"}, "s.$ref"),
        ({"$ref": "file:///etc/passwd"}, "s.$ref"),
        ({"$ref": 5}, "s.$ref"),
        (obj(a={"$defs": {}}), "s.properties.a.$defs"),
        ({"$defs": 5}, "s.$defs"),
        ({"const": "\ud800"}, "s"),
        ({"const": float("inf")}, "s"),
    ],
)
def test_what_cannot_be_enforced_is_refused_by_its_path(schema: object, field: str) -> None:
    assert faults_of(schema) == [field]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        obj(a={"$ref": "#"}),
        {"type": "array", "items": {"$ref": "#"}, "minItems": 1},
        {"$defs": {"a": obj(b={"anyOf": [{"$ref": "#/$defs/a"}]})}, "type": "array", "items": {"$ref": "#/$defs/a"}},
    ],
)
def test_a_recursion_that_never_ends_is_refused(schema: object) -> None:
    _, (fault,) = read_schema(schema, place="s")
    assert "no value that ends" in fault.message


def test_a_schema_is_refused_by_its_size_before_it_is_walked() -> None:
    _, (fault,) = read_schema({"enum": ["x" * MOST_BYTES]}, place="s")
    assert f"send {MOST_BYTES} bytes or fewer" in fault.hint


@pytest.mark.parametrize("depth", [MOST_DEPTH + 1, sys.getrecursionlimit() * 40])
def test_a_schema_is_refused_by_its_depth(depth: int) -> None:
    schema: dict[str, Any] = {}
    for _ in range(depth - 1):
        schema = {"items": schema, "type": "array"}
    _, (fault,) = read_schema(schema, place="s")
    assert f"nest at most {MOST_DEPTH}" in fault.hint or fault.message.startswith("is ")


@pytest.mark.parametrize(
    ("what", "schema"),
    [
        ("properties and definitions", obj(**{f"p{n}": {} for n in range(257)})),
        ("values", {"enum": list(range(501))}),
        ("branches", obj(**{f"p{n}": {"anyOf": [{}] * 30} for n in range(5)})),
        ("characters of names and values", {"enum": [f"{n:0500}" for n in range(17)]}),
        (
            "characters of different length bounds",
            obj(**{f"p{n}": {"type": "string", "minLength": n, "maxLength": 100} for n in range(3)}),
        ),
        ("numbers with bounds", obj(**{f"p{n}": {"type": "integer", "minimum": n} for n in range(33)})),
    ],
)
def test_what_a_schema_has_in_all_is_bounded(what: str, schema: object) -> None:
    _, (fault,) = read_schema(schema, place="s")
    assert fault.message.endswith(f"{what} in all")
    assert fault.hint == f"have {MOST_IN_ALL[what]} or fewer"


def test_no_more_faults_are_told_than_one_reads() -> None:
    assert len(faults_of(obj(**{f"p{n}": {"type": "wrong"} for n in range(100)}))) == 8
