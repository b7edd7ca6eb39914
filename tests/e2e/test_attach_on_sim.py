"""`"runtime": "openai"` attaches a server that already runs: nothing is started or stopped there, no model is needed
here, and what our own words do not cover is the server's to answer or to refuse.
"""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import openai
import pytest
from platform_rig import Up, up, wait_for

MODEL = "someone/served-elsewhere"
KEY = "sk-canary-of-that-server"


class _Server(BaseHTTPRequestHandler):
    """An OpenAI-compatible server of one model; it takes its key alone, and echoes what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200, {"data": [{"id": "theirs", "max_model_len": 4096}]} if self.path == "/v1/models" else {})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers["authorization"] != f"Bearer {KEY}":
            return self._answer(401, {"error": {"message": "who are you?"}})
        if self.path == "/v1/embeddings":
            return self._answer(200, {"object": "list", "model": asked["model"], "data": [{"embedding": [0.5, 1.0]}]})
        if asked.get("n") == 99:
            return self._answer(422, {"error": {"message": f"99 is too much, {KEY}", "code": "too_many"}})
        if asked.get("stream"):
            return self._stream(asked)
        message = {"role": "assistant", "content": json.dumps(asked)}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        choice = {"index": 0, "message": message, "text": "theirs", "finish_reason": "stop"}
        return self._answer(200, {"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage})

    def _stream(self, asked: Any) -> None:
        choice = {"index": 0, "delta": {"content": "né"}, "text": "né", "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        events = [{"choices": [choice]}, {"choices": [], "usage": usage, "model": asked["model"]}]
        text = "".join(f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events) + "data: [DONE]\n\n"
        self._send(200, text.encode(), "text/event-stream")

    def _answer(self, status: int, body: object) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One to which such a server is attached."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    Thread(target=server.serve_forever, daemon=True).start()
    args = {"base_url": f"http://127.0.0.1:{server.server_port}/v1", "api_key": KEY}
    with up(tmp_path_factory.mktemp("home")) as made:
        status, body = made.call(
            "POST", "/deploy", {"model": MODEL, "runtime": "openai", "engine_args": args, "name": "a"}
        )
        assert (status, body["desired"]["engine_args"]["api_key"]) == (202, "(hidden)")
        wait_for(lambda: [m["ready"] for m in made.call("GET", "/v1/models")[1]["data"]] == [True], limit_s=30)
        yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(platform: Up) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{platform.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_a_model_that_is_not_here_is_served_under_its_name_here(platform: Up) -> None:
    (model,) = platform.call("GET", "/v1/models")[1]["data"]
    assert (model["id"], model["runtimes"], model["max_model_len"]) == (MODEL, ["openai"], 4096)


def test_what_is_asked_arrives_there_as_it_came_but_for_the_models_name(client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "hi"}], tools=[tool], n=2, extra_body={"their_own": 1}
    )
    asked = json.loads(answer.choices[0].message.content or "")
    assert (asked["model"], asked["tools"], asked["n"], asked["their_own"]) == ("theirs", [tool], 2, 1)


def test_a_stream_comes_as_that_server_sends_it(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}], stream=True)
    assert "".join(event.choices[0].delta.content or "" for event in stream if event.choices) == "né"


def test_embeddings_come_from_a_server_that_can(client: openai.OpenAI) -> None:
    told = client.post("/embeddings", cast_to=object, body={"model": MODEL, "input": "a"})
    assert isinstance(told, dict)
    assert told["data"][0]["embedding"] == [0.5, 1.0]


def test_that_servers_refusal_is_the_clients_without_the_key(client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="99 is too much") as refused:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}], n=99)
    assert KEY not in str(refused.value)


def test_infer_answers_too(platform: Up) -> None:
    status, body = platform.call("POST", "/infer", {"model": MODEL, "prompt": "hi"})
    assert (status, body["text"], body["runtime"], body["usage"]["total_tokens"]) == (200, "né", "openai", 2)


def test_the_key_of_that_server_is_told_nowhere(platform: Up) -> None:
    told = [platform.call("GET", path)[1] for path in ("/deployments", "/deployments/a/worker/info")]
    assert KEY not in json.dumps(told) + platform.run("logs", "a").stdout
