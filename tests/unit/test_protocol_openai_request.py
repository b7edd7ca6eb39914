"""Reading OpenAI's bodies: what is taken, what is refused, and how the refusal is told."""

import json

import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.generation import Capabilities
from tokenforge.protocol.openai_request import OpenAIRequest, Operation, parse_request, refuse_unable


def completions(**fields: object) -> OpenAIRequest:
    body = {"model": "m", "prompt": "hi", **fields}
    return parse_request(json.dumps(body).encode(), Operation.COMPLETIONS)


def chat(**fields: object) -> OpenAIRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return parse_request(json.dumps(body).encode(), Operation.CHAT)


def refused_field(**fields: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        completions(**fields)
    assert len(caught.value.faults) == 1
    return caught.value.faults[0].field


def test_defaults_are_those_of_openai() -> None:
    request = completions()
    assert request.sampling.max_tokens == 16
    assert request.sampling.temperature == 1.0
    assert request.is_open_ended
    assert not request.is_stream


def test_every_sampling_field_arrives() -> None:
    request = completions(
        max_tokens=9, temperature=0, top_p=0.5, top_k=7, seed=3, stop="x", ignore_eos=True, min_tokens=2, logprobs=1
    )
    sampling = request.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.top_k) == (9, 0.0, 0.5, 7)
    assert (sampling.seed, sampling.stop, sampling.ignore_eos) == (3, ("x",), True)
    assert (sampling.min_tokens, sampling.logprobs) == (2, 1)


def test_a_prompt_may_be_token_ids() -> None:
    assert completions(prompt=[1, 2, 3]).prompt == (1, 2, 3)


@pytest.mark.parametrize("prompt", [["hi"], [[1, 2]]])
def test_a_list_of_one_prompt_is_that_prompt(prompt: list[object]) -> None:
    assert completions(prompt=prompt).prompt in ("hi", (1, 2))


@pytest.mark.parametrize("prompt", [["a", "b"], [[1], [2]], [], "", [1, "a"], [1, True], [-1], {}, 5, None, "\ud800"])
def test_a_prompt_that_is_not_one_prompt_is_refused(prompt: object) -> None:
    assert refused_field(prompt=prompt) == "prompt"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", "5"),
        ("max_tokens", 5.0),
        ("max_tokens", True),
        ("temperature", 2.1),
        ("temperature", "hot"),
        ("top_p", 0),
        ("top_p", 1.5),
        ("top_k", -2),
        ("seed", 1.5),
        ("seed", 2**63),
        ("stop", [""]),
        ("stop", [1]),
        ("stop", ["x"] * 17),
        ("n", 2),
        ("n", True),
        ("stream", "yes"),
        ("logprobs", 21),
        ("ignore_eos", 1),
        ("min_tokens", -1),
        ("return_token_ids", "no"),
        ("echo", True),
        ("best_of", 2),
        ("presence_penalty", 0.5),
        ("logit_bias", {"5": 1}),
        ("response_format", "json_object"),
        ("tools", [{"type": "function"}]),
        ("no_such_field", 1),
        ("messages", [{"role": "user", "content": "hi"}]),
        ("model", 5),
    ],
)
def test_a_wrong_value_is_refused_by_name(field: str, value: object) -> None:
    assert refused_field(**{field: value}) == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user", "u"),
        ("metadata", {"a": "b"}),
        ("store", True),
        ("n", 1),
        ("presence_penalty", 0.0),
        ("logit_bias", {}),
        ("response_format", {"type": "text"}),
        ("tools", []),
        ("suffix", None),
        ("seed", None),
        ("top_k", -1),
    ],
)
def test_what_changes_nothing_passes(field: str, value: object) -> None:
    assert completions(**{field: value}).sampling == completions().sampling


def test_all_faults_are_told_together() -> None:
    with pytest.raises(InvalidInput) as caught:
        completions(temperature=9, top_p=7, foo=1)
    assert [fault.field for fault in caught.value.faults] == ["temperature", "top_p", "foo"]


def test_min_tokens_above_max_tokens_is_refused() -> None:
    assert refused_field(min_tokens=5, max_tokens=4) == "min_tokens"


def test_stream_options_are_read() -> None:
    request = completions(stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True})
    assert request.wants_usage
    assert request.wants_continuous_usage


def test_stream_options_without_a_stream_are_refused() -> None:
    assert refused_field(stream_options={"include_usage": True}) == "stream_options"


def test_an_unknown_stream_option_is_named_with_its_path() -> None:
    assert refused_field(stream=True, stream_options={"x": True}) == "stream_options.x"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"a"', b"\xff", b'{"temperature": NaN}', b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_request(body, Operation.COMPLETIONS)
    assert caught.value.faults[0].field == "body"


def test_chat_reads_roles_and_text_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    request = chat(messages=[{"role": "system", "content": "s"}, {"role": "user", "content": parts}])
    assert [(message.role, message.content) for message in request.messages] == [("system", "s"), ("user", "ab")]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("hi", "messages[0]"),
        ({"role": "king", "content": "x"}, "messages[0].role"),
        ({"role": "user"}, "messages[0].content"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[0].content"),
        ({"role": "user", "content": "x", "tool_calls": []}, "messages[0].tool_calls"),
    ],
)
def test_a_wrong_message_is_named_by_its_place(message: object, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        chat(messages=[message])
    assert [fault.field for fault in caught.value.faults] == [field]


@pytest.mark.parametrize("messages", [None, [], "hi", {}])
def test_chat_without_messages_is_refused(messages: object) -> None:
    with pytest.raises(InvalidInput, match="messages"):
        chat(messages=messages)


def test_chat_takes_the_new_name_of_max_tokens() -> None:
    assert chat(max_completion_tokens=5).sampling.max_tokens == 5


def test_two_token_limits_that_differ_are_refused() -> None:
    with pytest.raises(InvalidInput, match="contradicts"):
        chat(max_completion_tokens=5, max_tokens=6)


def test_chat_logprobs_is_a_flag_with_a_count() -> None:
    assert chat(logprobs=True, top_logprobs=3).sampling.logprobs == 3
    assert chat(logprobs=True).sampling.logprobs == 0
    assert chat(logprobs=False).sampling.logprobs is None


def test_an_open_ended_chat_gets_the_room_of_the_window() -> None:
    assert chat().sampling_within(99).max_tokens == 99


def test_an_open_ended_completion_gets_sixteen_tokens_at_most() -> None:
    assert completions().sampling_within(99).max_tokens == 16
    assert completions().sampling_within(3).max_tokens == 3


def test_a_given_limit_stays() -> None:
    assert chat(max_tokens=50).sampling_within(10).max_tokens == 50


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logprobs", 1),
        ("seed", 1),
        ("stop", "x"),
        ("top_p", 0.5),
        ("top_k", 5),
        ("min_tokens", 1),
        ("ignore_eos", True),
    ],
)
def test_what_the_runtime_cannot_do_is_refused(field: str, value: object) -> None:
    weak = Capabilities(stop=False, top_p=False, top_k=False)
    with pytest.raises(InvalidInput) as caught:
        refuse_unable(completions(**{field: value}), weak, runtime="weak")
    assert [fault.field for fault in caught.value.faults] == [field]


def test_a_plain_request_is_within_any_runtime() -> None:
    refuse_unable(completions(), Capabilities(stop=False, top_p=False, top_k=False), runtime="weak")


def test_prompt_logprobs_arrive() -> None:
    assert completions(prompt_logprobs=5).prompt_logprobs == 5
    assert completions().prompt_logprobs is None


@pytest.mark.parametrize("value", [0, 21, -1, "5", True, 1.5])
def test_prompt_logprobs_outside_one_to_twenty_are_refused(value: object) -> None:
    assert refused_field(prompt_logprobs=value) == "prompt_logprobs"


def test_prompt_logprobs_are_for_whole_answers_only() -> None:
    assert refused_field(prompt_logprobs=5, stream=True) == "prompt_logprobs"


def test_prompt_logprobs_are_refused_where_a_runtime_cannot_score() -> None:
    with pytest.raises(InvalidInput, match="prompt_logprobs = 5: runtime sim cannot do this"):
        refuse_unable(completions(prompt_logprobs=5), Capabilities(), runtime="sim")
    refuse_unable(completions(prompt_logprobs=5), Capabilities(prompt_logprobs=True), runtime="vllm")
