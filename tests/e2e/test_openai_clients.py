"""OpenAI's own clients, unchanged, on a platform with keys: what they get, which of their errors a refusal becomes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from node_client import node_folder, run_node
from platform_rig import Up, up, wait_for

__all__ = ["node_folder"]

MODEL = "synthetic:tiny"
CHAT: list[Any] = [{"role": "user", "content": "Explain KV cache"}]
_LONG: Any = {"model": MODEL, "prompt": "a", "max_tokens": 1900, "extra_body": {"ignore_eos": True}}
_TOOL: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that serves `synthetic:tiny` on sim to who has a key."""
    with up(tmp_path_factory.mktemp("home")) as made:
        _, root = made.call("POST", "/keys", {"name": "root", "scopes": ["admin"]})
        made.env["TOKENFORGE_API_KEY"] = root["key"]
        made.headers["authorization"] = f"Bearer {root['key']}"
        done = made.run("deploy", MODEL, "--runtime", "sim", "--name", "tiny")
        assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture
def client(platform: Up) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{platform.url}/v1", api_key=key_of(platform), max_retries=0) as made:
        yield made


def key_of(platform: Up, **limits: object) -> str:
    """The first key, or a new one with these limits."""
    if not limits:
        return platform.env["TOKENFORGE_API_KEY"]
    _, made = platform.call("POST", "/keys", {"name": f"k{len(str(limits))}", "scopes": ["infer"], **limits})
    return str(made["key"])


def test_models_are_listed_and_looked_up(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL


def test_a_completion_streams_the_text_of_its_whole_answer_with_usage(client: openai.OpenAI) -> None:
    whole = client.completions.create(model=MODEL, prompt="a", max_tokens=40, temperature=0, seed=7)
    events = list(
        client.completions.create(
            model=MODEL, prompt="a", max_tokens=40, temperature=0, seed=7, stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    assert "".join(event.choices[0].text for event in events if event.choices) == whole.choices[0].text
    assert whole.usage is not None
    assert events[-1].usage is not None
    assert events[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_a_chat_streams_the_text_of_its_whole_answer_and_begins_with_its_role(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=CHAT, max_completion_tokens=40, temperature=0)
    events = list(client.chat.completions.create(model=MODEL, messages=CHAT, max_tokens=40, temperature=0, stream=True))
    assert events[0].choices[0].delta.role == "assistant"
    text = "".join(event.choices[0].delta.content or "" for event in events)
    ends = (events[-1].choices[0].finish_reason, whole.choices[0].finish_reason)
    assert (text, *ends) in [(whole.choices[0].message.content, end, end) for end in ("length", "stop")]


def test_a_stop_text_ends_the_answer_before_itself(client: openai.OpenAI) -> None:
    whole = client.completions.create(model=MODEL, prompt="a", max_tokens=30, temperature=0).choices[0].text
    stop = whole[10:13]
    cut = client.completions.create(model=MODEL, prompt="a", max_tokens=30, temperature=0, stop=[stop]).choices[0]
    assert (cut.text, cut.finish_reason) == (whole[: whole.index(stop)], "stop")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [_TOOL]),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}),
        ("response_format", {"type": "json_object"}),
        ("logprobs", True),
        ("temperature", 9),
        ("presence_penalty", 1.5),
        ("logit_bias", {"5": 10}),
    ],
)
def test_what_the_runtime_cannot_do_is_a_bad_request_that_names_it(
    client: openai.OpenAI, field: str, value: object
) -> None:
    asked: Any = {"model": MODEL, "messages": CHAT, "max_tokens": 4, field: value}
    with pytest.raises(openai.BadRequestError, match=field) as refused:
        client.chat.completions.create(**asked)
    assert refused.value.param == field
    asked["stream"] = True
    with pytest.raises(openai.BadRequestError, match=field):
        client.chat.completions.create(**asked)


def test_embeddings_and_responses_are_bad_requests_where_no_runtime_can(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="runtime sim cannot do /v1/embeddings"):
        client.embeddings.create(model=MODEL, input="a")
    with pytest.raises(openai.BadRequestError, match="runtime sim cannot do /v1/responses"):
        client.responses.create(model=MODEL, input="a")
    with pytest.raises(openai.NotFoundError, match="is not deployed"):
        client.embeddings.create(model="nothing", input="a")


def test_a_runtime_is_chosen_by_a_header(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "prompt": "a", "max_tokens": 2}
    assert client.completions.create(**asked, extra_headers={"x-tokenforge-runtime": "sim"}).usage is not None
    with pytest.raises(openai.NotFoundError, match="is not deployed on runtime 'vllm'"):
        client.completions.create(**asked, extra_headers={"x-tokenforge-runtime": "vllm"})


def test_each_refusal_is_the_error_that_a_client_expects(platform: Up, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="nothing", prompt="a")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="tf-0-no").models.list()
    limited = client.with_options(api_key=key_of(platform, requests_per_minute=1))
    limited.models.list()
    with pytest.raises(openai.RateLimitError) as full:
        limited.completions.create(model=MODEL, prompt="a", max_tokens=1)
    assert int(full.value.response.headers["retry-after"]) >= 1
    with pytest.raises(openai.PermissionDeniedError):
        client.with_options(api_key=key_of(platform, concurrency=10)).post("/../keys", cast_to=object, body={})
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).completions.create(**_LONG)
    with pytest.raises(openai.InternalServerError) as late:
        client.completions.create(**_LONG, extra_headers={"x-tokenforge-timeout-s": "0.2"})
    assert late.value.status_code == 504


def test_a_stream_that_is_left_frees_the_engine(platform: Up, client: openai.OpenAI) -> None:
    stream = client.completions.create(**_LONG, stream=True, extra_headers={"x-request-id": "left-early"})
    next(iter(stream))
    stream.close()
    wait_for(lambda: is_cancelled(platform, "left-early"), limit_s=10)


def is_cancelled(platform: Up, request: str) -> bool:
    lines = platform.run("logs", "tiny").stdout.splitlines()
    return any(f"request_id={request} " in line and "outcome=cancelled" in line for line in lines)


def test_the_client_for_node_gets_the_same(platform: Up, client: openai.OpenAI, node_folder: Path) -> None:
    got = run_node("openai_client.mjs", f"{platform.url}/v1", key_of(platform), MODEL, folder=node_folder)
    here = client.chat.completions.create(model=MODEL, messages=CHAT, max_tokens=8, temperature=0, seed=1)
    assert (got["models"], got["one"], got["seen"]) == ([MODEL], MODEL, 3)
    assert got["whole"] == got["stream"]["text"] == here.choices[0].message.content
    assert got["text"] == got["texts"]["text"]
    assert got["usage"]["completion_tokens"] == got["stream"]["usage"]["completion_tokens"] >= 1
    assert {name: got[name]["name"] for name in ("unknown", "wrong", "embeddings", "responses", "stranger")} == {
        "unknown": "NotFoundError", "wrong": "BadRequestError", "embeddings": "BadRequestError",
        "responses": "BadRequestError", "stranger": "AuthenticationError",
    }  # fmt: skip
