"""A schema as vLLM's grammars enforce it."""

import json
import re
from typing import Any

import pytest

from tokenforge.runtimes.vllm_schema import enforceable


def said(schema: object) -> Any:
    return json.loads(enforceable(json.dumps(schema)))


def test_a_length_becomes_a_pattern_of_characters_that_need_no_escape() -> None:
    made = said({"type": "string", "minLength": 2, "maxLength": 3})
    assert made["$ref"] == "#/$defs/length2to3"
    pattern = made["$defs"]["length2to3"]["pattern"]
    texts = ("ab", "äöü", "a", "abcd", 'a"', "a\\", "a\n", "a\x18", "")
    assert [text for text in texts if re.match(pattern, text)] == ["ab", "äöü"]


@pytest.mark.parametrize(("bounds", "count"), [({"minLength": 2}, "{2,}"), ({"maxLength": 0}, "{0,0}")])
def test_one_bound_is_enough(bounds: dict[str, int], count: str) -> None:
    ((_, made),) = said({"type": "string", **bounds})["$defs"].items()
    assert made["pattern"].endswith(f"{count}$")


def test_other_types_beside_the_text_keep_their_bounds() -> None:
    made = said({"type": ["string", "null", "integer"], "maxLength": 4, "minimum": 3})
    assert made["anyOf"] == [{"$ref": "#/$defs/length0to4"}, {"type": ["null", "integer"], "minimum": 3}]


def test_the_same_length_is_said_once_at_any_depth_and_under_a_name_of_its_own() -> None:
    text = {"type": "string", "maxLength": 1}
    schema = {"$defs": {"length0to1": {"type": "null"}, "a": text}, "type": "array", "items": {"anyOf": [text]}}
    made = said(schema)
    assert made["$defs"].keys() == {"length0to1", "a", "length_0to1"}
    assert made["$defs"]["a"] == made["items"]["anyOf"][0] == {"$ref": "#/$defs/length_0to1"}
    assert made["$defs"]["length0to1"] == {"type": "null"}


def test_definitions_of_the_top_stay_there() -> None:
    made = said({"$defs": {"a": {"type": "null"}}, "type": ["string", "null"], "maxLength": 1})
    assert made["$defs"].keys() == {"a", "length0to1"}


def test_what_is_called_like_a_keyword_stays_a_name() -> None:
    inner = {"type": "integer"}
    schema = {"type": "object", "properties": {"maxLength": inner, "enum": inner}, "required": ["maxLength"]}
    assert said(schema) == schema


def test_values_stay_as_they_are() -> None:
    schema = {"anyOf": [{"enum": ["minLength", 1]}, {"const": "maxLength"}], "examples": [{"maxLength": 5}]}
    assert said(schema) == schema
