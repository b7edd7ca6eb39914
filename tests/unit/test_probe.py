"""Asking a server what it is, against real HTTP servers on the loopback."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tokenforge.bench.probe import base_url, probe_server
from tokenforge.domain.errors import InvalidInput, NotFound, TargetUnreachable

Pages = dict[str, tuple[int, str]]
MODELS = json.dumps({"data": [{"id": "m1", "max_model_len": 512, "owned_by": "vllm"}]})


class _Handler(BaseHTTPRequestHandler):
    pages: Pages = {}  # noqa: RUF012

    def do_GET(self) -> None:
        status, body = self.pages.get(self.path, (404, "{}"))
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def serve() -> Iterator[Callable[[Pages], str]]:
    servers: list[ThreadingHTTPServer] = []

    def start(pages: Pages) -> str:
        handler = type("Handler", (_Handler,), {"pages": pages})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_an_unknown_server_is_measured_with_text_and_no_promises(serve: Callable[[Pages], str]) -> None:
    probe = probe_server(serve({"/v1/models": (200, '{"data": [{"id": "m1"}]}')}), model=None, headers={})
    assert (probe.model, probe.engine, probe.exact_output, probe.token_ids) == ("m1", None, False, False)


def test_a_vllm_server_is_recognised_with_its_version_and_window(serve: Callable[[Pages], str]) -> None:
    url = serve({"/v1/models": (200, MODELS), "/version": (200, '{"version": "0.32.0"}')})
    probe = probe_server(url, model="m1", headers={})
    assert probe.engine is not None
    assert (probe.engine["engine_version"], probe.window, probe.token_ids) == ("0.32.0", 512, True)


def test_our_own_worker_tells_its_engine(serve: Callable[[Pages], str]) -> None:
    info = {"engine": "sim", "engine_version": "1", "token_level": True, "capabilities": {"ignore_eos": True}}
    url = serve({"/v1/models": (200, MODELS), "/worker/info": (200, json.dumps({"runtime": info}))})
    probe = probe_server(url, model=None, headers={})
    assert probe.engine == info
    assert probe.exact_output


def test_a_model_that_is_not_served_is_named_with_those_that_are(serve: Callable[[Pages], str]) -> None:
    with pytest.raises(NotFound, match=r"'nope'.*m1"):
        probe_server(serve({"/v1/models": (200, MODELS)}), model="nope", headers={})


def test_several_models_and_none_named_is_a_question_to_the_user(serve: Callable[[Pages], str]) -> None:
    with pytest.raises(InvalidInput, match="a, b"):
        probe_server(serve({"/v1/models": (200, '{"data": [{"id": "b"}, {"id": "a"}]}')}), model=None, headers={})


@pytest.mark.parametrize("page", [(200, "not json"), (200, "[]"), (200, '{"data": []}'), (500, "{}")])
def test_an_answer_that_makes_no_sense_is_unreachable(serve: Callable[[Pages], str], page: tuple[int, str]) -> None:
    with pytest.raises(TargetUnreachable, match="/v1/models"):
        probe_server(serve({"/v1/models": page}), model=None, headers={})


def test_a_refused_key_says_where_to_set_one(serve: Callable[[Pages], str]) -> None:
    with pytest.raises(TargetUnreachable, match="OPENAI_API_KEY"):
        probe_server(serve({"/v1/models": (401, "{}")}), model=None, headers={})


def test_a_dead_url_is_named() -> None:
    with pytest.raises(TargetUnreachable, match=r"127\.0\.0\.1:9/v1/models"):
        probe_server("http://127.0.0.1:9", model=None, headers={})


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_the_base_is_the_same_however_the_url_is_written(url: str) -> None:
    assert base_url(url) == "http://h:1"


def test_an_address_without_a_scheme_is_refused() -> None:
    with pytest.raises(InvalidInput, match="localhost:8000"):
        base_url("localhost:8000")


def test_an_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(InvalidInput, match="had a user or password") as caught:
        probe_server("http://me:canary@127.0.0.1:9/v1", model=None, headers={})
    assert "canary" not in str(caught.value)
    assert "http://127.0.0.1:9" in str(caught.value)
