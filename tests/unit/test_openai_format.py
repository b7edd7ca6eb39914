"""`response_format`: what it asks for, and what it cannot be asked together with."""

import json
from typing import Any

import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.generation import Capabilities
from tokenforge.protocol.openai_request import OpenAIRequest, Operation, parse_request, refuse_unable

SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}


def chat(**fields: object) -> OpenAIRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return parse_request(json.dumps(body).encode(), Operation.CHAT)


def json_schema(**fields: object) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, **fields}}


def refused(**fields: object) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        chat(**fields)
    return [fault.field for fault in caught.value.faults]


def test_a_schema_is_kept_as_text() -> None:
    asked = chat(response_format=json_schema(strict=True, description="d"))
    assert json.loads(asked.sampling.json_schema or "") == SCHEMA


def test_completions_take_it_too() -> None:
    body = {"model": "m", "prompt": "p", "response_format": json_schema()}
    assert parse_request(json.dumps(body).encode(), Operation.COMPLETIONS).sampling.json_schema


def test_any_object_is_a_schema_of_its_own() -> None:
    assert json.loads(chat(response_format={"type": "json_object"}).sampling.json_schema or "") == {"type": "object"}


@pytest.mark.parametrize("value", [None, {"type": "text"}])
def test_free_text_has_none(value: object) -> None:
    assert chat(response_format=value).sampling.json_schema is None


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("json_object", "response_format"),
        ([], "response_format"),
        ({}, "response_format.type"),
        ({"type": "grammar"}, "response_format.type"),
        ({"type": "json_object", "schema": {}}, "response_format.schema"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        (json_schema(name=""), "response_format.json_schema.name"),
        (json_schema(name="a b"), "response_format.json_schema.name"),
        (json_schema(name="a\n"), "response_format.json_schema.name"),
        (json_schema(schema=None), "response_format.json_schema.schema"),
        (json_schema(strict="yes"), "response_format.json_schema.strict"),
        (json_schema(more=1), "response_format.json_schema.more"),
        (json_schema(schema={"type": "string", "pattern": "("}), "response_format.json_schema.schema.pattern"),
    ],
)
def test_a_wrong_format_is_refused_by_its_path(value: object, field: str) -> None:
    assert refused(response_format=value) == [field]


@pytest.mark.parametrize(("field", "value"), [("ignore_eos", True), ("min_tokens", 5)])
def test_what_would_go_on_after_the_json_is_refused(field: str, value: object) -> None:
    assert refused(response_format=json_schema(), max_tokens=9, **{field: value}) == [field]


def test_a_runtime_that_cannot_refuses_it_by_name() -> None:
    asked = chat(response_format=json_schema())
    refuse_unable(asked, Capabilities(json_schema=True), runtime="able")
    with pytest.raises(InvalidInput, match="runtime sim cannot do this") as caught:
        refuse_unable(asked, Capabilities(), runtime="sim")
    assert [fault.field for fault in caught.value.faults] == ["response_format"]
