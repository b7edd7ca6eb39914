"""Reading a completion stream: what is a token, what is not, and what is wrong."""

import json
from collections.abc import Mapping

import pytest

from tokenforge.bench.driver.answer import Answer, error_message

DONE = b"[DONE]"


def chunk(text: str = "", *, finish: str | None = None, **more: object) -> dict[str, object]:
    """A completions chunk."""
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish}], **more}


def delta(finish: str | None = None, **fields: object) -> dict[str, object]:
    """A chat chunk."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def usage(prompt: int, output: int, cached: int | None = None) -> dict[str, object]:
    """Usage as vLLM and OpenAI write it."""
    details = None if cached is None else {"cached_tokens": cached}
    return {"prompt_tokens": prompt, "completion_tokens": output, "prompt_tokens_details": details}


def read(*chunks: Mapping[str, object] | bytes, per_batch: int = 100) -> Answer:
    """The answer after `chunks`, chunk i at stamp 10 i."""
    events = [(c if isinstance(c, bytes) else json.dumps(c).encode(), 10 * i) for i, c in enumerate(chunks)]
    answer = Answer()
    for start in range(0, len(events), per_batch):
        answer.read(events[start : start + per_batch])
    return answer


@pytest.mark.parametrize("per_batch", [1, 2, 100])
def test_a_plain_stream_is_read_alike_in_any_batches(per_batch: int) -> None:
    last = {"choices": [], "usage": usage(7, 2, cached=4)}
    answer = read(chunk("a"), chunk("b", finish="length"), last, DONE, per_batch=per_batch)
    assert (answer.chunk_ns, answer.chunk_tokens, answer.counted_tokens) == ([0, 10], [1, 1], 2)
    assert (answer.prompt_tokens, answer.cached_tokens, answer.output_tokens) == (7, 4, 2)
    assert (answer.finish_reason, answer.is_done, answer.fault) == ("length", True, None)


def test_role_only_empty_and_usage_only_chunks_are_no_tokens() -> None:
    answer = read(
        delta(role="assistant", content=""), delta(content="x"), delta("stop"), {"choices": [], "usage": None}
    )
    assert (answer.chunk_ns, answer.counted_tokens) == ([10], 1)


@pytest.mark.parametrize("field", ["content", "reasoning_content", "reasoning", "refusal"])
def test_every_kind_of_text_is_a_token(field: str) -> None:
    assert read(delta(**{field: "x"})).counted_tokens == 1


def test_a_tool_call_is_a_token() -> None:
    assert read(delta(tool_calls=[{"index": 0, "function": {"arguments": "{"}}])).counted_tokens == 1


def test_continuous_usage_says_how_many_tokens_a_chunk_has() -> None:
    answer = read(
        chunk("", usage=usage(5, 0)),
        chunk("abcd", usage=usage(5, 4)),
        chunk("", usage=usage(5, 5)),
        chunk("!", finish="stop", usage=usage(5, 9)),
    )
    assert (answer.chunk_ns, answer.chunk_tokens) == ([10, 20, 30], [4, 1, 4])


def test_text_is_a_chunk_at_its_time_though_the_servers_usage_did_not_grow() -> None:
    answer = read(chunk("a", usage=usage(3, 0)), chunk("b", usage=usage(3, 0)), chunk("c", usage=usage(3, 1)))
    assert (answer.chunk_ns, answer.chunk_tokens) == ([0, 10, 20], [0, 0, 1])


def test_usage_in_the_last_chunk_alone_is_not_continuous() -> None:
    answer = read(chunk("ab"), chunk("cd", finish="stop", usage=usage(5, 8)))
    assert (answer.chunk_tokens, answer.output_tokens) == ([1, 1], 8)


def test_token_ids_say_how_many_tokens_a_chunk_has() -> None:
    many = {"choices": [{"index": 0, "text": "", "token_ids": [5, 6, 7], "finish_reason": None}]}
    none = {"choices": [{"index": 0, "text": "", "token_ids": [], "finish_reason": "stop"}]}
    assert read(many, none).chunk_tokens == [3]


def test_a_read_with_several_token_chunks_is_merged_once() -> None:
    answer = Answer()
    token = json.dumps(chunk("x")).encode()
    answer.read([(token, 1), (token, 2), (token, 2), (token, 2), (token, 3)])
    answer.read([(token, 3)])
    assert (answer.merged_reads, answer.chunk_ns) == (2, [1, 2, 2, 2, 3, 3])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"{nope", "no JSON object"),
        (b"[1]", "no JSON object"),
        (b'{"a":1},{"b":2}', "no JSON object"),
        (b'{"id":"x"}', "unknown shape"),
        (b'{"choices":7}', "unknown shape"),
        (b'{"choices":[7]}', "unknown shape"),
        (b'{"choices":[{"delta":"text"}]}', "unknown shape"),
        (b'{"choices":[],"usage":{"prompt_tokens":1}}', "unknown shape"),
        (b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":"2"}}', "unknown shape"),
        (b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":-2}}', "unknown shape"),
    ],
)
def test_what_cannot_be_read_is_a_fault_and_what_came_before_counts(bad: bytes, reason: str) -> None:
    answer = read(chunk("a"), bad, chunk("b"))
    assert reason in (answer.fault or "")
    assert answer.counted_tokens == 1


def test_two_broken_events_that_join_into_json_are_still_broken() -> None:
    assert read(b'{"choices":[],"a":[1', b"2]}").fault is not None


def test_events_after_done_are_a_fault() -> None:
    assert "after [DONE]" in (read(chunk("a"), DONE, chunk("b")).fault or "")
    assert "after [DONE]" in (read(chunk("a"), DONE, chunk("b"), per_batch=1).fault or "")


def test_usage_that_goes_back_is_a_fault() -> None:
    answer = read(chunk("a", usage=usage(5, 3)), chunk("b", usage=usage(5, 2)))
    assert answer.fault == "usage went back from 3 to 2 tokens"


def test_what_our_worker_tells_of_its_time_is_kept() -> None:
    told = {"first_token_ns": 5_000_000, "queue_ns": 1_000_000, "prefill_ns": 3_000_000}
    answer = read(chunk("a", finish="length"), {"choices": [], "usage": usage(7, 1), "timing": told}, DONE)
    assert answer.timing == told


@pytest.mark.parametrize("told", ["soon", [1], {"queue_ns": "3", "prefill_ns": -1, "first_token_ns": True}, None])
def test_a_word_of_the_same_name_and_another_meaning_is_passed_over(told: object) -> None:
    answer = read(chunk("a", finish="length"), {"choices": [], "usage": usage(7, 1), "timing": told}, DONE)
    assert (answer.timing, answer.fault, answer.output_tokens) == ({}, None, 1)


def test_an_error_event_is_kept_in_the_server_s_words() -> None:
    answer = read(chunk("a"), {"error": {"message": "out of memory", "code": 500}}, DONE)
    assert (answer.server_error, answer.fault, answer.counted_tokens) == ("out of memory", None, 1)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": {"message": "too long"}}, "too long"),
        ({"error": "plain"}, "plain"),
        ({"detail": "Not Found"}, "Not Found"),
        ({"detail": [{"loc": ["body"]}]}, '[{"loc": ["body"]}]'),
        ({"message": "m"}, "m"),
        ([1], "[1]"),
        ({"error": {"message": "x" * 400}}, "x" * 300),
    ],
)
def test_an_error_body_gives_its_message(body: object, words: str) -> None:
    assert error_message(body) == words
