"""The bytes we answer with: events, bodies, usage, logprobs."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tokenforge.domain.generation import Chunk, FinishReason, TokenLogprob, Usage
from tokenforge.domain.timing import ServerTiming
from tokenforge.protocol.openai_answer import DONE, AnswerHead, BodyWriter, EventWriter, error_event, models_body
from tokenforge.protocol.openai_request import Operation, parse_request


def head_of(operation: Operation = Operation.COMPLETIONS, **fields: object) -> AnswerHead:
    asked: dict[str, object] = {"prompt": "p"}
    if operation is Operation.CHAT:
        asked = {"messages": [{"role": "user", "content": "p"}]}
    body = {"model": 'm"odel', "stream": True, **asked, **fields}
    request = parse_request(json.dumps(body).encode(), operation)
    return AnswerHead(id="cmpl-1", created_s=7, request=request, token_text=lambda token_id: f"<{token_id}>")


def chunk_of(
    text: str,
    *ids: int,
    finish: FinishReason | None = None,
    done: int = 1,
    logprobs: tuple[TokenLogprob, ...] = (),
) -> Chunk:
    usage = Usage(prompt_tokens=2, completion_tokens=done, cached_tokens=1)
    return Chunk(token_ids=ids, text=text, finish=finish, usage=usage, made_ns=0, logprobs=logprobs)


def read(events: bytes) -> dict[str, Any]:
    assert events.startswith(b"data: ")
    assert events.endswith(b"\n\n")
    assert events.count(b"\n") == 2
    value = json.loads(events.removeprefix(b"data: "))
    assert isinstance(value, dict)
    return value


ODD_TEXTS: Sequence[str] = ['"', "\\", "\n\n", "\r", "é", "\u2028", "😀", "\x00", "data: [DONE]"]


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_any_text_comes_through_an_event(text: str) -> None:
    body = read(EventWriter(head_of()).event(chunk_of(text, 5)))
    assert body["choices"] == [{"index": 0, "text": text, "logprobs": None, "finish_reason": None}]
    assert (body["id"], body["object"], body["model"], body["created"]) == ("cmpl-1", "text_completion", 'm"odel', 7)


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_any_text_comes_through_a_chat_event(text: str) -> None:
    body = read(EventWriter(head_of(Operation.CHAT)).event(chunk_of(text, 5)))
    assert body["object"] == "chat.completion.chunk"
    assert body["choices"][0]["delta"] == {"content": text}


def test_chat_opens_with_the_role_and_completions_with_nothing() -> None:
    opening = read(EventWriter(head_of(Operation.CHAT)).opening())
    assert opening["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert EventWriter(head_of()).opening() == b""


def test_the_last_choice_tells_the_reason() -> None:
    body = read(EventWriter(head_of()).event(chunk_of("x", 5, finish=FinishReason.LENGTH)))
    assert body["choices"][0]["finish_reason"] == "length"


def test_a_last_chat_event_without_text_has_an_empty_delta() -> None:
    body = read(EventWriter(head_of(Operation.CHAT)).event(chunk_of("", finish=FinishReason.STOP)))
    assert body["choices"][0]["delta"] == {}


def test_a_chunk_without_text_is_not_sent() -> None:
    assert EventWriter(head_of()).event(chunk_of("", 5)) == b""


def test_a_chunk_without_text_is_sent_when_ids_are_asked_for() -> None:
    body = read(EventWriter(head_of(return_token_ids=True)).event(chunk_of("", 5, 6)))
    assert body["choices"][0]["token_ids"] == [5, 6]


def test_continuous_usage_is_in_each_event() -> None:
    writer = EventWriter(head_of(stream_options={"continuous_usage_stats": True}))
    for done, finish in ((3, None), (4, FinishReason.STOP)):
        usage = read(writer.event(chunk_of("", 5, done=done, finish=finish)))["usage"]
        assert (usage["completion_tokens"], usage["total_tokens"]) == (done, done + 2)
        assert usage["prompt_tokens_details"] == {"cached_tokens": 1}


def test_usage_comes_once_before_the_end() -> None:
    writer = EventWriter(head_of(stream_options={"include_usage": True}))
    assert read(writer.event(chunk_of("x", 5)))["usage"] is None
    last, mark, _ = writer.closing(Usage(prompt_tokens=2, completion_tokens=3)).split(b"\n\n")
    body = read(last + b"\n\n")
    assert body["choices"] == []
    assert body["usage"]["total_tokens"] == 5
    assert mark + b"\n\n" == DONE


def test_the_workers_own_time_stands_beside_usage_and_what_is_unknown_is_left_out() -> None:
    writer = EventWriter(head_of(stream_options={"include_usage": True}))
    usage, timing = Usage(prompt_tokens=2, completion_tokens=3), ServerTiming(first_token_ns=7, queue_ns=2)
    last = writer.closing(usage, timing).split(b"\n\n")[0]
    assert read(last + b"\n\n")["timing"] == {"first_token_ns": 7, "queue_ns": 2}


def test_without_include_usage_no_event_has_usage() -> None:
    writer = EventWriter(head_of())
    assert "usage" not in read(writer.event(chunk_of("x", 5)))
    assert "usage" not in read(writer.event(chunk_of("x", 5, finish=FinishReason.STOP)))
    assert writer.closing(Usage(prompt_tokens=1, completion_tokens=1)) == DONE


def test_a_body_gathers_text_ids_and_usage() -> None:
    writer = BodyWriter(head=head_of(return_token_ids=True))
    writer.add(chunk_of("a", 5))
    writer.add(chunk_of("b", 6, done=2, finish=FinishReason.STOP))
    body = json.loads(writer.body())
    assert (body["choices"][0]["text"], body["choices"][0]["token_ids"]) == ("ab", [5, 6])
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] == 2


def test_a_chat_body_is_a_message() -> None:
    writer = BodyWriter(head=head_of(Operation.CHAT))
    writer.add(chunk_of("a", 5, finish=FinishReason.STOP))
    body = json.loads(writer.body())
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "a", "refusal": None}


def test_completion_logprobs_are_lists_with_running_offsets() -> None:
    writer = EventWriter(head_of(logprobs=1))
    entry = TokenLogprob(token_id=5, logprob=-0.5, top=((5, -0.5),))
    writer.event(chunk_of("<5>", 5, logprobs=(entry,)))
    logprobs = read(writer.event(chunk_of("<5>", 5, logprobs=(entry,))))["choices"][0]["logprobs"]
    assert logprobs == {
        "tokens": ["<5>"],
        "token_logprobs": [-0.5],
        "top_logprobs": [{"<5>": -0.5}],
        "text_offset": [3],
    }


def test_chat_logprobs_are_objects_with_bytes() -> None:
    writer = EventWriter(head_of(Operation.CHAT, logprobs=True, top_logprobs=1))
    entry = TokenLogprob(token_id=5, logprob=-0.5, top=((6, -0.1), (5, -0.5)))  # an engine adds the token itself
    content = read(writer.event(chunk_of("x", 5, logprobs=(entry,))))["choices"][0]["logprobs"]["content"]
    assert content[0]["token"] == "<5>"
    assert content[0]["bytes"] == [60, 53, 62]
    assert [one["token"] for one in content[0]["top_logprobs"]] == ["<6>"]


def test_logprobs_are_sent_even_when_their_text_is_held_back() -> None:
    entry = TokenLogprob(token_id=5, logprob=-0.5)
    assert EventWriter(head_of(logprobs=0)).event(chunk_of("", 5, logprobs=(entry,))) != b""


def test_an_error_event_is_one_event() -> None:
    assert error_event(b'{"error": {}}') == b'data: {"error": {}}\n\n'


def test_models_are_a_list() -> None:
    body = json.loads(models_body(["a"], created_s=1, max_model_len=9))
    assert body["object"] == "list"
    assert body["data"][0]["id"] == "a"


def test_scores_of_a_prompt_are_told_by_id_with_nothing_for_the_first_token() -> None:
    likely = TokenLogprob(token_id=4, logprob=-0.1, top=((4, -0.1), (5, -2.0)))
    unlikely = TokenLogprob(token_id=9, logprob=-7.0, top=((4, -0.1), (5, -2.0)))
    writer = BodyWriter(head=head_of(stream=False), prompt_scores=(likely, unlikely))
    writer.add(chunk_of("x", 1, finish=FinishReason.LENGTH))
    first, second, third = json.loads(writer.body())["choices"][0]["prompt_logprobs"]
    assert first is None
    assert second == {"4": {"logprob": -0.1, "rank": 1}, "5": {"logprob": -2.0, "rank": 2}}
    assert third["9"] == {"logprob": -7.0, "rank": None}


def test_an_answer_without_scores_does_not_speak_of_them() -> None:
    writer = BodyWriter(head=head_of(stream=False))
    writer.add(chunk_of("x", 1, finish=FinishReason.LENGTH))
    assert "prompt_logprobs" not in json.loads(writer.body())["choices"][0]
