"""The platform on two real engines side by side: the first specification's three calls, word for word but for the model
and the length of the load; both runtimes listed, chosen and used; OpenAI's client with what each engine can do.
"""

import functools
import json
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import openai
import pydantic
import pytest
from node_client import node_folder, run_node
from platform_rig import Up, own_home, up, wait_for

from tokenforge.models.synthetic import make_synthetic

__all__ = ["node_folder"]

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1800)]

RUNTIMES = ("vllm", "transformers")
MODEL = "synthetic:tiny"
CHAT: list[Any] = [{"role": "user", "content": "Explain KV cache"}]
BENCHMARK = {
    "model": MODEL,
    "runtimes": ["vllm", "transformers"],
    "workloads": [{"name": "qa-short", "qps": 5, "duration_s": 1, "prompt_len": 256, "gen_tokens": 16}],
}


def infer(runtime: str, *, stream: bool) -> dict[str, object]:
    """The specification's body."""
    return {
        "model": MODEL, "runtime": runtime, "prompt": "Explain KV cache", "max_tokens": 128, "temperature": 0.2,
        "top_p": 0.95, "stream": stream,
    }  # fmt: skip


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Up]:
    """A home of its own, with the environments that were made once; both deployed by `POST /deploy`."""
    with up(own_home(tmp_path_factory.mktemp("home"), home)) as made:
        for runtime in RUNTIMES:
            status, body = made.call("POST", "/deploy", {"model": MODEL, "runtime": runtime, "quant": "fp32"})
            assert (status, body["name"]) == (202, f"tiny-{runtime}")
        for runtime in RUNTIMES:
            wait_for(functools.partial(is_serving, made, f"tiny-{runtime}"), limit_s=600)
        yield made


def is_serving(platform: Up, name: str) -> bool:
    """Whether it is ready; raises when it failed for good."""
    body = platform.call("GET", f"/deployments/{name}")[1]
    assert body["observed"]["failures"] < 3, body["conditions"]
    return bool(body["ready"])


@pytest.fixture
def client(platform: Up) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{platform.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def on(runtime: str) -> dict[str, str]:
    return {"x-tokenforge-runtime": runtime}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_infer_answers_whole_and_as_a_stream(platform: Up, runtime: str) -> None:
    status, whole = platform.call("POST", "/infer", infer(runtime, stream=False))
    assert (status, whole["runtime"], whole["model"]) == (200, runtime, MODEL)
    assert whole["usage"]["total_tokens"] == whole["usage"]["prompt_tokens"] + whole["usage"]["completion_tokens"]
    assert 0 <= whole["timings"]["ttft_ms"] <= whole["timings"]["total_ms"]
    body = json.dumps(infer(runtime, stream=True)).encode()
    with urllib.request.urlopen(f"{platform.url}/infer", data=body, timeout=60) as answer:
        events = [line for line in answer.read().decode().splitlines() if line.startswith("event: ")]
    assert events[-1] == "event: done"
    assert set(events[:-1]) == {"event: token"}


def test_a_benchmark_over_the_api_measures_both_and_its_report_opens(platform: Up) -> None:
    status, made = platform.call("POST", "/benchmarks/run", BENCHMARK)
    assert (status, [run["runtime"] for run in made["runs"]]) == (202, list(RUNTIMES))
    wait_for(lambda: is_over(platform, made["id"]), limit_s=900)
    done = platform.call("GET", f"/benchmarks/{made['id']}")[1]
    assert [(run["status"], run["cause"]) for run in done["runs"]] == [("succeeded", "")] * 2
    with urllib.request.urlopen(f"{platform.url}/runs/{made['runs'][0]['id']}/report", timeout=60) as answer:
        page = answer.read().decode()
    assert answer.headers["content-type"].startswith("text/html")
    assert all(runtime in page for runtime in RUNTIMES)
    assert is_serving(platform, "tiny-vllm")  # what was there before is used and stays


def is_over(platform: Up, benchmark: str) -> bool:
    return platform.call("GET", f"/benchmarks/{benchmark}")[1]["status"] not in ("queued", "preparing", "running")


def test_one_model_on_two_runtimes_is_listed_once_with_both(platform: Up) -> None:
    (model,) = platform.call("GET", "/v1/models")[1]["data"]
    assert (model["id"], model["runtimes"], model["ready"]) == (MODEL, sorted(RUNTIMES), True)


def test_without_a_runtime_both_are_used_and_with_one_that_one(platform: Up) -> None:
    used = [platform.call("POST", "/infer", {"model": MODEL, "prompt": str(n), "max_tokens": 2}) for n in range(40)]
    assert {body["runtime"] for _, body in used} == set(RUNTIMES)
    for runtime in RUNTIMES:
        body = {"model": MODEL, "prompt": "a", "max_tokens": 2, "runtime": runtime}
        assert {platform.call("POST", "/infer", body)[1]["runtime"] for _ in range(3)} == {runtime}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_stream_has_the_text_of_the_whole_answer_in_whole_characters(client: openai.OpenAI, runtime: str) -> None:
    asked: Any = {"model": MODEL, "messages": CHAT, "max_tokens": 60, "temperature": 0, "extra_headers": on(runtime)}
    events = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    pieces = [event.choices[0].delta.content or "" for event in events if event.choices]
    whole = client.chat.completions.create(**asked)
    text = whole.choices[0].message.content or ""
    assert "".join(pieces) == text
    assert sum(piece.count("\ufffd") for piece in pieces) == text.count("\ufffd")
    assert events[-1].usage is not None
    assert whole.usage is not None
    assert events[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_log_probabilities_come_from_the_engine_that_can(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "messages": CHAT, "max_tokens": 3, "logprobs": True, "top_logprobs": 2}
    told = client.chat.completions.create(**asked, extra_headers=on("vllm")).choices[0].logprobs
    assert told is not None
    assert [len(entry.top_logprobs) for entry in told.content or []] == [2, 2, 2]


def test_a_seed_repeats_a_drawn_answer_on_the_engine_that_can(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "prompt": "a", "max_tokens": 20, "temperature": 1, "seed": 5}
    texts = {client.completions.create(**asked, extra_headers=on("vllm")).choices[0].text for _ in range(2)}
    assert len(texts) == 1


def shaped(schema: object) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


class Verdict(pydantic.BaseModel):
    """What OpenAI's client makes a strict schema of."""

    color: Literal["red", "green", "blue"]
    is_good: bool
    other: "Verdict | None"


def test_an_answer_of_random_weights_fits_its_schema_whole_and_as_a_stream(client: openai.OpenAI) -> None:
    whole = client.chat.completions.parse(
        model=MODEL, messages=CHAT, response_format=Verdict, max_tokens=400, extra_headers=on("vllm")
    )
    assert isinstance(whole.choices[0].message.parsed, Verdict)
    asked: Any = {"model": MODEL, "messages": CHAT, "max_tokens": 400, "stream": True, "extra_headers": on("vllm")}
    events = list(client.chat.completions.create(**asked, response_format=shaped(Verdict.model_json_schema())))
    text = "".join(event.choices[0].delta.content or "" for event in events)
    assert Verdict.model_validate_json(text).color in ("red", "green", "blue")
    assert (events[-1].choices[0].finish_reason, whole.choices[0].finish_reason) == ("stop", "stop")


def test_the_client_for_node_gets_json_of_its_schema(platform: Up, node_folder: Path) -> None:
    got = run_node("openai_schema.mjs", f"{platform.url}/v1", "none", MODEL, "vllm", folder=node_folder)
    assert got["finish"] == ["stop", "stop"]
    for value in (got["whole"], got["stream"]):
        assert (value.keys(), value["color"] in ("red", "blue")) == ({"color", "sure"}, True)
        assert type(value["sure"]) is bool
    assert got["refused"] == {"name": "BadRequestError", "param": "response_format.json_schema.schema"}


TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": name, "description": "what is known of a city",
            "parameters": {
                "type": "object", "properties": {"city": {"enum": ["Oslo", "Rome"]}, "now": {"type": "boolean"}},
                "required": ["city", "now"], "additionalProperties": False,
            },
        },
    }
    for name in ("weather", "population")
]  # fmt: skip
TOOL_TEMPLATE = "{% if tools %}{{ tools | tojson }}{% endif %}{% for message in messages %}{{ message.role }}: "
TOOL_TEMPLATE += "{{ message.content }}{{ message.tool_calls | default([], true) | tojson }}\n{% endfor %}assistant: "


@pytest.fixture(scope="module")
def caller(platform: Up, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model whose chat template shows tools, deployed on vLLM."""
    folder = make_synthetic("tiny", tmp_path_factory.mktemp("models") / "caller")
    config = folder / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "chat_template": TOOL_TEMPLATE}))
    body = {"model": str(folder), "runtime": "vllm", "name": "caller"}
    assert platform.call("POST", "/deploy", body)[0] == 202
    wait_for(functools.partial(is_serving, platform, "caller"), limit_s=600)
    return str(folder)


def test_a_call_is_made_with_arguments_that_fit_whole_and_as_a_stream(client: openai.OpenAI, caller: str) -> None:
    named = {"type": "function", "function": {"name": "population"}}
    for choice, names in ((named, {"population"}), ("required", {"weather", "population"})):
        asked: Any = {"model": caller, "messages": CHAT, "max_tokens": 200, "tools": TOOLS, "tool_choice": choice}
        made = client.chat.completions.create(**asked).choices[0]
        (call,) = made.message.tool_calls or []
        events = list(client.chat.completions.create(**asked, stream=True))
        pieces = [piece for event in events for piece in event.choices[0].delta.tool_calls or []]
        streamed = "".join(piece.function.arguments or "" for piece in pieces if piece.function)
        assert call.type == "function"
        assert call.function.name in names
        for text in (call.function.arguments, streamed):
            assert json.loads(text).keys() == {"city", "now"}
            assert json.loads(text)["city"] in ("Oslo", "Rome")
        assert (
            made.finish_reason == events[-1].choices[0].finish_reason == ("stop" if choice is named else "tool_calls")
        )
        turns = [*CHAT, made.message.model_dump(exclude_none=True)]
        turns.append({"role": "tool", "tool_call_id": call.id, "content": "much"})
        after = client.chat.completions.create(
            model=caller, messages=turns, max_tokens=4, tools=TOOLS, tool_choice="none"
        )
        assert after.choices[0].message.tool_calls is None


def test_a_choice_that_no_parser_reads_and_a_template_without_tools_are_bad_requests(
    client: openai.OpenAI, caller: str
) -> None:
    asked: Any = {"messages": CHAT, "max_tokens": 9, "tools": TOOLS, "extra_headers": on("vllm")}
    with pytest.raises(openai.BadRequestError, match="cannot be left to the model"):
        client.chat.completions.create(**asked, model=caller)
    with pytest.raises(openai.BadRequestError, match="shows no tools"):
        client.chat.completions.create(**asked, model=MODEL, tool_choice="required")


def test_any_json_object_is_one_as_far_as_it_goes(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "messages": CHAT, "max_tokens": 20, "extra_headers": on("vllm")}
    text = client.chat.completions.create(**asked, response_format={"type": "json_object"}).choices[0].message.content
    assert (text or "").startswith("{")


def nested(inner: Any, _: int) -> Any:
    return {"type": "array", "items": inner}


HOSTILE: list[Any] = [
    {"enum": [f"value {n}" for n in range(100_000)]},
    {"$ref": "#"},
    {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    {"type": "string", "pattern": "(a+)+$"},
    {"type": "string", "pattern": "["},
    {"type": "string", "maxLength": 10**12},
    {"type": "array", "items": {}, "minItems": 10**9},
    functools.reduce(nested, range(300), None),
]


def test_a_hostile_schema_is_a_bad_request_and_the_engine_serves_on(client: openai.OpenAI) -> None:
    for schema in HOSTILE:
        with pytest.raises(openai.BadRequestError) as refused:
            client.with_options(timeout=20).chat.completions.create(
                model=MODEL, messages=CHAT, max_tokens=5, response_format=shaped(schema), extra_headers=on("vllm")
            )
        assert (refused.value.param or "").startswith("response_format.json_schema.schema")
    largest = {
        "type": "object",
        "properties": {f"p{n}": {"type": ["string", "null"], "maxLength": 28 + n % 8} for n in range(250)},
    }
    asked: Any = {"model": MODEL, "messages": CHAT, "max_tokens": 5, "extra_headers": on("vllm")}
    client.with_options(timeout=60).chat.completions.create(**asked, response_format=shaped(largest))
    assert client.chat.completions.create(**asked).usage is not None


def test_a_schema_is_refused_by_name_where_the_engine_cannot(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="runtime transformers cannot do this") as refused:
        client.chat.completions.create(
            model=MODEL, messages=CHAT, max_tokens=5, response_format=shaped({"type": "boolean"}),
            extra_headers=on("transformers"),
        )  # fmt: skip
    assert refused.value.param == "response_format"


def test_an_argument_that_an_engine_does_not_know_is_told_with_the_nearest_within_seconds(platform: Up) -> None:
    body = {"model": MODEL, "runtime": "transformers", "engine_args": {"max_batch_tokenz": 64}, "name": "wrong"}
    assert platform.call("POST", "/deploy", body)[0] == 202
    wait_for(lambda: bool(cause_of(platform, "wrong")), limit_s=200)
    cause = cause_of(platform, "wrong")
    platform.call("DELETE", "/deployments/wrong")
    assert (cause["reason"], "did you mean max_batch_tokens?" in cause["message"]) == ("EngineFailed", True)
    died = next(line for line in cause["last_words"] if "engine failed" in line).split(" ", 1)[0]
    assert (datetime.fromisoformat(cause["since"]) - datetime.fromisoformat(died)).total_seconds() < 5.0


def cause_of(platform: Up, name: str) -> dict[str, Any]:
    """The condition that says what is wrong with its health; empty while nothing is."""
    conditions = platform.call("GET", f"/deployments/{name}")[1]["conditions"]
    return next((c for c in conditions if c["type"] == "Healthy" and c["status"] == "False"), {})


def test_what_an_engine_cannot_do_is_a_bad_request_that_names_both(client: openai.OpenAI) -> None:
    for runtime in RUNTIMES:
        with pytest.raises(openai.BadRequestError, match=f"runtime {runtime} cannot do /v1/embeddings"):
            client.embeddings.create(model=MODEL, input="a", extra_headers=on(runtime))
