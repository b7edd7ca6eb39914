"""The `openai` runtime against a scripted server: what it sends, reads, counts and refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai_rig import DONE, PLAIN, Server, ask, event, read, started, usage

from tokenforge.domain.errors import EngineError, InvalidRequest, Overloaded, RuntimeFault
from tokenforge.domain.generation import FinishReason
from tokenforge.models.synthetic import make_synthetic
from tokenforge.models.tokenizers import load_tokenizer


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("tiny", tmp_path_factory.mktemp("models") / "tiny")


async def test_the_last_chunk_is_held_until_usage_has_come() -> None:
    async with started(Server(*PLAIN)) as runtime:
        chunks = await read(runtime)
    assert [chunk.text for chunk in chunks] == ["Hel", "lo"]
    assert [chunk.finish for chunk in chunks] == [None, FinishReason.STOP]
    assert (chunks[-1].usage.completion_tokens, chunks[-1].stop_reason) == (2, "!")


async def test_a_server_without_done_is_read_to_its_end() -> None:
    async with started(Server(*PLAIN[:-1])) as runtime:
        assert (await read(runtime))[-1].usage.completion_tokens == 2


async def test_usage_in_the_finishing_event_is_taken() -> None:
    async with started(Server(event("a"), event("b", finish_reason="length", usage=usage(3, 9)))) as runtime:
        last = (await read(runtime))[-1]
    assert (last.finish, last.usage.completion_tokens, last.usage.total_tokens) == (FinishReason.LENGTH, 9, 12)


async def test_cached_tokens_are_read() -> None:
    told = usage(3, 1, prompt_tokens_details={"cached_tokens": 2})
    async with started(Server(event("a", finish_reason="stop", usage=told), DONE)) as runtime:
        assert (await read(runtime))[-1].usage.cached_tokens == 2


async def test_an_unknown_finish_reason_is_a_stop() -> None:
    async with started(Server(event("a", finish_reason="content_filter"))) as runtime:
        assert (await read(runtime))[-1].finish is FinishReason.STOP


async def test_events_cut_anywhere_are_read_the_same() -> None:
    whole = b"".join(PLAIN)
    async with started(Server(*(whole[i : i + 7] for i in range(0, len(whole), 7)))) as runtime:
        assert "".join(chunk.text for chunk in await read(runtime)) == "Hello"


async def test_without_usage_the_models_tokenizer_counts(tiny: Path) -> None:
    server = Server(event("Hello wor"), event("ld", finish_reason="length"), DONE)
    async with started(server, model_path=tiny, model="m", usage_in_stream=False) as runtime:
        chunks = await read(runtime)
    assert chunks[-1].usage.completion_tokens == len(load_tokenizer(tiny).encode("Hello world"))
    assert "stream_options" not in server.bodies[0]


async def test_without_usage_and_tokenizer_events_are_counted() -> None:
    async with started(Server(event("a"), event(), event("b", finish_reason="length"))) as runtime:
        assert (await read(runtime))[-1].usage.completion_tokens == 2


async def test_ids_are_passed_on_without_text_where_the_server_gives_them() -> None:
    server = Server(event("ab", token_ids=[5, 6]), event("c", token_ids=[7], finish_reason="length"), DONE)
    async with started(server, return_token_ids=True) as runtime:
        chunks = await read(runtime)
    assert [chunk.token_ids for chunk in chunks] == [(5, 6), (7,)]
    assert [chunk.usage.completion_tokens for chunk in chunks] == [2, 3]
    assert not any(chunk.text for chunk in chunks)


async def test_a_server_that_gives_no_ids_though_asked_is_an_error_with_what_to_do() -> None:
    async with started(Server(*PLAIN), return_token_ids=True) as runtime:
        with pytest.raises(EngineError, match="return_token_ids: false"):
            await read(runtime)


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        (b"data: {half\n\n", "not JSON"),
        (b'data: {"error": {"message": "boom"}}\n\n', "boom"),
        (b"data: [1]\n\n", "reported an error"),
        (b'data: {"choices": [3]}\n\n', "no completion"),
        (event("a"), "without a finish reason"),
        (event("a") + DONE, "without a finish reason"),
    ],
)
async def test_a_stream_that_is_no_completion_is_an_engine_error(piece: bytes, message: str) -> None:
    async with started(Server(piece)) as runtime:
        with pytest.raises(EngineError, match=message):
            await read(runtime)
        assert runtime.stats().running == 0


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, InvalidRequest),
        (404, InvalidRequest),
        (422, InvalidRequest),
        (429, Overloaded),
        (500, EngineError),
        (502, EngineError),
        (503, Overloaded),
    ],
)
async def test_a_status_is_its_error_with_the_servers_words(status: int, kind: type[RuntimeFault]) -> None:
    server = Server()
    server.status, server.words = status, "because\nof reasons"
    async with started(server) as runtime:
        with pytest.raises(kind, match=f"HTTP {status}.*because of reasons") as raised:
            await read(runtime)
    assert type(raised.value) is kind


async def test_retry_after_is_passed_on() -> None:
    server = Server()
    server.status, server.headers = 429, {"retry-after": "7"}
    async with started(server) as runtime:
        with pytest.raises(Overloaded) as raised:
            await read(runtime)
    assert raised.value.retry_after_s == 7.0


async def test_a_key_is_sent_and_never_repeated() -> None:
    server = Server()
    server.status, server.words = 401, "Incorrect API key: sk-secret"
    async with started(server, api_key="sk-secret") as runtime:
        with pytest.raises(InvalidRequest) as raised:
            await read(runtime)
    assert set(server.keys) == {"Bearer sk-secret"}
    assert "sk-secret" not in str(raised.value) + repr(runtime.__dict__["_settings"])


async def test_the_request_says_what_was_asked_and_nothing_more() -> None:
    server = Server(*PLAIN)
    async with started(server) as runtime:
        await read(runtime, ask(4, 5, max_tokens=3, temperature=0.5, top_p=0.9, seed=7, stop=("x",)))
    assert server.bodies[0] == {
        "model": "m", "prompt": [4, 5], "stream": True, "max_tokens": 3, "temperature": 0.5, "top_p": 0.9, "seed": 7,
        "stop": ["x"], "stream_options": {"include_usage": True},
    }  # fmt: skip


async def test_what_the_server_is_said_to_know_is_sent() -> None:
    server = Server(event("a", token_ids=[1], finish_reason="length"))
    async with started(server, ignore_eos=True, return_token_ids=True) as runtime:
        await read(runtime, ask(ignore_eos=True, min_tokens=2, top_k=5))
    sent = server.bodies[0]
    assert (sent["ignore_eos"], sent["min_tokens"], sent["top_k"], sent["return_token_ids"]) == (True, 2, 5, True)


@pytest.mark.parametrize(
    ("quirks", "sampling"),
    [
        ({}, {"ignore_eos": True}),
        ({}, {"logprobs": 1}),
        ({"stop": False}, {"stop": ("x",)}),
        ({"seed": False}, {"seed": 1}),
    ],
)
async def test_what_the_server_would_ignore_is_refused(quirks: dict[str, bool], sampling: dict[str, Any]) -> None:
    server = Server(*PLAIN)
    async with started(server, **quirks) as runtime:
        with pytest.raises(InvalidRequest):
            await read(runtime, ask(**sampling))
    assert not server.bodies


async def test_a_prompt_travels_as_text_with_its_special_tokens(tiny: Path) -> None:
    server, tokenizer = Server(*PLAIN), load_tokenizer(tiny)
    ids = (*tokenizer.encode("Hello"), min(tokenizer.eos_ids), *tokenizer.encode(" you"))
    async with started(server, model_path=tiny, model="m", prompt_form="text") as runtime:
        await read(runtime, ask(*ids))
    assert tokenizer.encode(server.bodies[0]["prompt"]) == list(ids)


async def test_text_without_a_tokenizer_is_refused_with_what_to_do() -> None:
    async with started(Server(*PLAIN), prompt_form="text") as runtime:
        with pytest.raises(InvalidRequest, match="prompt_form: token_ids"):
            await read(runtime)


async def test_a_request_beyond_the_window_the_server_told_is_refused() -> None:
    async with started(Server(*PLAIN)) as runtime:
        with pytest.raises(InvalidRequest, match="the window is 64"):
            await read(runtime, ask(max_tokens=99))


async def test_one_connection_serves_one_request_after_another() -> None:
    server = Server(*PLAIN)
    async with started(server) as runtime:
        for _ in range(3):
            await read(runtime)
    assert len(server.connections) == 1


def test_the_rig_writes_events_as_servers_do() -> None:
    assert json.loads(event("a", token_ids=[1])[6:])["choices"][0] == {"index": 0, "text": "a", "token_ids": [1]}
