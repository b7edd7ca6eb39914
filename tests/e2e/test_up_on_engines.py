"""The platform on two real engines side by side: the first specification's three calls, word for word but for the model
and the length of the load; both runtimes listed, chosen and used; OpenAI's client with what each engine can do.
"""

import functools
import json
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import openai
import pytest
from platform_rig import Up, own_home, up, wait_for

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
