"""Tools: which call is asked for, how it is told, what is refused by its path."""

import json
from typing import Any

import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.generation import Capabilities, Chunk, FinishReason, Usage
from tokenforge.protocol.json_schema import read_schema
from tokenforge.protocol.openai_answer import AnswerHead, BodyWriter, event_writer
from tokenforge.protocol.openai_call import CallReader, Told
from tokenforge.protocol.openai_request import OpenAIRequest, Operation, parse_request, refuse_unable
from tokenforge.protocol.tool_schema import choice_of

CITY = {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}}, "required": ["city"]}


def tool(name: str = "weather", parameters: object = CITY, **more: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters, **more}}


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def chat(**fields: object) -> OpenAIRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return parse_request(json.dumps(body).encode(), Operation.CHAT)


def refused(**fields: object) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        chat(**fields)
    return [fault.field for fault in caught.value.faults]


def test_a_named_function_is_asked_for_by_its_parameters() -> None:
    asked = chat(tools=[tool(), tool("other")], tool_choice=named("weather"))
    assert asked.call is not None
    assert (asked.call.name, asked.call.is_named, len(asked.call.shown)) == ("weather", True, 2)
    assert json.loads(asked.sampling.json_schema or "") == CITY


def test_one_of_several_is_asked_for_by_a_schema_that_names_it_first() -> None:
    asked = chat(tools=[tool(), tool("time", {"type": "object", "properties": {}})], tool_choice="required")
    assert asked.call is not None
    assert asked.call.name is None
    branches = json.loads(asked.call.schema)["anyOf"]
    assert [branch["properties"]["name"] for branch in branches] == [{"const": "weather"}, {"const": "time"}]
    assert [list(branch["properties"]) for branch in branches] == [["name", "arguments"]] * 2


@pytest.mark.parametrize("fields", [{}, {"tools": []}, {"tools": [tool()], "tool_choice": "none"}])
def test_without_a_call_the_answer_is_free_text(fields: dict[str, Any]) -> None:
    asked = chat(**fields)
    assert (asked.call, asked.sampling.json_schema) == (None, None)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"tools": [tool()]}, "tools"),
        ({"tools": [tool()], "tool_choice": "auto"}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": named("nothing")}, "tool_choice"),
        ({"tools": [tool()], "tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": {}, "tool_choice": "none"}, "tools"),
        ({"tools": [tool()] * 2, "tool_choice": "required"}, "tools"),
        ({"tools": [tool(f"t{n}") for n in range(33)], "tool_choice": "none"}, "tools"),
        ({"tools": [{"type": "function"}], "tool_choice": "none"}, "tools"),
        ({"tools": [tool("a b")], "tool_choice": "none"}, "tools[0].function.name"),
        ({"tools": [tool(more=1)], "tool_choice": "none"}, "tools[0].function.more"),
        ({"tools": [tool("a", {"type": "string"})], "tool_choice": "none"}, "tools[0].function.parameters"),
        ({"tools": [tool("a", {"$ref": "#"})], "tool_choice": "none"}, "tools[0].function.parameters"),
        ({"tools": [tool()], "tool_choice": "required", "parallel_tool_calls": 3}, "parallel_tool_calls"),
        ({"tools": [tool()], "tool_choice": "required", "stop": "x"}, "stop"),
        ({"tools": [tool()], "tool_choice": "required", "ignore_eos": True}, "ignore_eos"),
        ({"tools": [tool()], "tool_choice": "required", "response_format": {"type": "json_object"}}, "response_format"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_its_path(fields: dict[str, Any], field: str) -> None:
    assert refused(**fields)[0] == field


def test_a_runtime_that_cannot_refuses_tools_by_name() -> None:
    asked = chat(tools=[tool()], tool_choice="required")
    refuse_unable(asked, Capabilities(json_schema=True, tools=True), runtime="able")
    with pytest.raises(InvalidInput) as caught:
        refuse_unable(asked, Capabilities(), runtime="sim")
    assert [fault.field for fault in caught.value.faults] == ["tools"]


def test_definitions_of_several_functions_stay_apart() -> None:
    first = {"$defs": {"a": {"type": "null"}}, "type": "object", "properties": {"$ref": {"$ref": "#/$defs/a"}}}
    second = {"type": "object", "properties": {"inner": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}
    made = choice_of({"f": first, "g": second})
    assert made["$defs"] == {
        "0.$defs.a": {"type": "null"},
        "1": {"type": "object", "properties": {"inner": {"anyOf": [{"$ref": "#/$defs/1"}, {"type": "null"}]}}},
    }
    assert read_schema(made, place="s")[1] == []


TEXT = '{"name":"weather", "arguments":{"city":"Oslo","more":{"a":"}"}}}'
ARGUMENTS = '{"city":"Oslo","more":{"a":"}"}}'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_call_is_told_as_it_comes_in_pieces_of_any_size(size: int) -> None:
    reader = CallReader(name=None)
    pieces = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
    told = [reader.take(piece, is_last=False) for piece in pieces] + [reader.take("", is_last=True)]
    assert [one.name for one in told if one.name] == ["weather"]
    assert "".join(one.arguments for one in told) == ARGUMENTS


@pytest.mark.parametrize(
    ("text", "told"), [(TEXT[:14], Told()), (TEXT[:-2], Told(name="weather", arguments=ARGUMENTS[:-1]))]
)
def test_a_call_that_was_cut_is_told_as_far_as_it_came(text: str, told: Told) -> None:
    assert CallReader(name=None).take(text, is_last=True) == told


def head_of(**fields: object) -> AnswerHead:
    request = chat(tools=[tool(), tool("other")], **fields)
    return AnswerHead(id="chatcmpl-7", created_s=1, request=request, token_text=str)


def chunk_of(text: str, finish: FinishReason | None = None) -> Chunk:
    return Chunk(token_ids=(1,), text=text, finish=finish, usage=Usage(prompt_tokens=1, completion_tokens=1), made_ns=0)


@pytest.mark.parametrize(
    ("choice", "text", "finish"), [(named("weather"), ARGUMENTS, "stop"), ("required", TEXT, "tool_calls")]
)
def test_a_call_is_the_same_whole_and_as_a_stream(choice: object, text: str, finish: str) -> None:
    head = head_of(tool_choice=choice)
    whole = BodyWriter(head=head)
    whole.add(chunk_of(text, FinishReason.STOP))
    (made,) = json.loads(whole.body())["choices"]
    call = {"id": "call_7", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}
    assert (made["message"]["content"], made["message"]["tool_calls"], made["finish_reason"]) == (None, [call], finish)
    writer = event_writer(head)
    events = [writer.opening(), *(writer.event(chunk_of(letter)) for letter in text)]
    events.append(writer.event(chunk_of("", FinishReason.STOP)))
    choices = [json.loads(event.removeprefix(b"data: "))["choices"][0] for event in events if event]
    calls = [one for choice in choices for one in choice["delta"].get("tool_calls", [])]
    assert choices[0]["delta"] == {"role": "assistant", "content": None}
    assert (calls[0]["id"], calls[0]["function"]["name"]) == ("call_7", "weather")
    assert "".join(one["function"]["arguments"] for one in calls) == ARGUMENTS
    assert choices[-1]["finish_reason"] == finish


def test_a_call_that_reached_the_token_limit_says_so() -> None:
    writer = BodyWriter(head=head_of(tool_choice="required"))
    writer.add(chunk_of('{"na', FinishReason.LENGTH))
    (made,) = json.loads(writer.body())["choices"]
    assert (made["message"]["tool_calls"], made["finish_reason"]) == ([], "length")


CALLED = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}


def test_a_call_and_its_result_come_back_as_templates_want_them() -> None:
    turns = [
        {"role": "assistant", "content": None, "tool_calls": [CALLED], "refusal": None},
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
    ]
    asked = chat(messages=turns)
    first, second = (message.as_template_value() for message in asked.messages)
    assert first["tool_calls"] == [
        {"id": "c", "type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}
    ]
    assert (first["content"], second["tool_call_id"]) == ("", "c")


@pytest.mark.parametrize(
    ("turn", "field"),
    [
        ({"role": "user", "content": "a", "tool_calls": [CALLED]}, "messages[0].tool_calls"),
        ({"role": "assistant", "tool_calls": [{"id": "c"}]}, "messages[0].tool_calls"),
        ({"role": "assistant", "tool_calls": "c", "content": ""}, "messages[0].tool_calls"),
        (
            {"role": "assistant", "tool_calls": [{**CALLED, "function": {"name": "f", "arguments": "[" * 50_000}}]},
            "messages[0].tool_calls",
        ),
        ({"role": "assistant"}, "messages[0].content"),
        ({"role": "user", "content": "a", "tool_call_id": "c"}, "messages[0].tool_call_id"),
    ],
)
def test_a_turn_that_is_no_call_is_refused_by_its_path(turn: dict[str, Any], field: str) -> None:
    assert field in refused(messages=[turn])
