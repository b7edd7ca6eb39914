"""A real worker with the simulator, over real HTTP: answers, streams, refusals, limits."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import worker_rig as rig

from tokenforge.cluster.local_worker import LocalWorker
from tokenforge.models.synthetic import make_synthetic


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("tiny", tmp_path_factory.mktemp("model") / "tiny")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(model: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalWorker]:
    launch = rig.launch_of(model, engine_args={"step_ms": 2.0, "max_num_seqs": 4})
    async with rig.running(tmp_path_factory.mktemp("state"), launch) as started:
        yield started


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_completion_is_answered_whole(worker: LocalWorker) -> None:
    answer = await rig.complete(worker, max_tokens=5)
    body = answer.json()
    assert answer.status == 200
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["choices"][0]["text"]
    assert (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]) == (3, 5)


async def test_a_stream_has_the_same_text_as_the_whole_answer(worker: LocalWorker) -> None:
    whole = (await rig.complete(worker, max_tokens=8, temperature=0)).json()
    stream = await rig.complete(worker, max_tokens=8, temperature=0, stream=True)
    texts = [event["choices"][0]["text"] for event in stream.events()]
    assert "".join(texts) == whole["choices"][0]["text"]


async def test_a_stream_ends_with_its_reason_and_the_mark(worker: LocalWorker) -> None:
    answer = await rig.complete(worker, max_tokens=4, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.endswith(b"data: [DONE]\n\n")
    reasons = [event["choices"][0]["finish_reason"] for event in answer.events()]
    assert [reason for reason in reasons if reason] == ["length"]
    assert reasons[-1] == "length"


async def test_usage_comes_as_the_last_event_when_asked_for(worker: LocalWorker) -> None:
    answer = await rig.complete(worker, max_tokens=4, stream=True, stream_options={"include_usage": True})
    *others, last = answer.events()
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 4
    assert all(event["usage"] is None for event in others)


async def test_the_last_event_tells_how_long_the_parts_took(worker: LocalWorker) -> None:
    events = (await rig.complete(worker, stream=True, stream_options={"include_usage": True})).events()
    told = events[-1]["timing"]
    assert told["queue_ns"] >= 0
    assert 0 < told["queue_ns"] + told["prefill_ns"] <= told["first_token_ns"]


async def test_each_event_tells_its_tokens_and_usage_when_asked_for(worker: LocalWorker) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    answer = await rig.complete(worker, max_tokens=16, stream=True, stream_options=options, return_token_ids=True)
    *events, _ = answer.events()
    seen = 0
    for event in events:
        seen += len(event["choices"][0]["token_ids"])
        assert event["usage"]["completion_tokens"] == seen
    assert seen == 16


async def test_chat_answers_whole_and_as_a_stream(worker: LocalWorker) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "temperature": 0}
    whole = (await rig.post(worker, "/v1/chat/completions", body)).json()
    first, *rest = (await rig.post(worker, "/v1/chat/completions", {**body, "stream": True})).events()
    assert first["choices"][0]["delta"]["role"] == "assistant"
    text = "".join(event["choices"][0]["delta"].get("content", "") for event in rest)
    assert text == whole["choices"][0]["message"]["content"]


async def test_a_stop_string_ends_before_itself(worker: LocalWorker) -> None:
    whole = (await rig.complete(worker, max_tokens=8, temperature=0)).json()["choices"][0]["text"]
    stop = whole[3:5]
    body = (await rig.complete(worker, max_tokens=8, temperature=0, stop=stop)).json()
    assert body["choices"][0]["text"] == whole[: whole.index(stop)]
    assert body["choices"][0]["finish_reason"] == "stop"


async def test_a_wrong_field_is_a_400_in_openais_shape(worker: LocalWorker) -> None:
    answer = await rig.complete(worker, temperature=9)
    error = answer.json()["error"]
    assert answer.status == 400
    assert (error["param"], error["type"]) == ("temperature", "invalid_request_error")


async def test_what_the_runtime_lacks_is_a_400(worker: LocalWorker) -> None:
    assert (await rig.complete(worker, logprobs=1)).json()["error"]["param"] == "logprobs"


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/responses"])
async def test_a_call_that_the_runtime_lacks_is_a_400_that_names_both(worker: LocalWorker, path: str) -> None:
    answer = await rig.post(worker, path, {"model": "tiny", "input": "a"})
    assert (answer.status, answer.json()["error"]["code"]) == (400, "invalid_request")
    assert f"runtime sim cannot do {path}" in answer.json()["error"]["message"]


async def test_another_model_is_a_404(worker: LocalWorker) -> None:
    answer = await rig.post(worker, "/v1/completions", {"model": "gpt", "prompt": "x"})
    assert answer.status == 404
    assert "tiny" in answer.json()["error"]["message"]


async def test_a_prompt_beyond_the_window_is_a_400(worker: LocalWorker) -> None:
    answer = await rig.complete(worker, prompt=[5] * 3000)
    assert (answer.status, answer.json()["error"]["param"]) == (400, "prompt")


async def test_an_answer_beyond_the_window_is_a_400(worker: LocalWorker) -> None:
    answer = await rig.complete(worker, max_tokens=2048)
    assert (answer.status, answer.json()["error"]["param"]) == (400, "max_tokens")


async def test_a_stream_that_cannot_begin_has_an_error_status(worker: LocalWorker) -> None:
    assert (await rig.complete(worker, prompt=[5] * 3000, stream=True)).status == 400


async def test_a_body_beyond_the_limit_is_a_413(worker: LocalWorker) -> None:
    reader, writer = await rig.connect(worker)
    writer.write(b"POST /v1/completions HTTP/1.1\r\nhost: t\r\ncontent-length: 99999999\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), 5)).split()[1] == b"413"
    writer.close()


async def test_a_deep_body_is_a_400(worker: LocalWorker) -> None:
    answer = await rig.request(worker, "POST", "/v1/completions", b"[" * 1_000_000)
    assert answer.status == 400


async def test_an_unknown_path_is_a_404_and_a_wrong_method_a_405(worker: LocalWorker) -> None:
    assert (await rig.get(worker, "/nope")).status == 404
    answer = await rig.get(worker, "/v1/completions")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_the_callers_request_id_comes_back(worker: LocalWorker) -> None:
    answer = await rig.get(worker, "/health/live", headers={"x-request-id": "abc"})
    assert answer.headers["x-request-id"] == "abc"


async def test_a_request_id_that_could_not_stand_in_a_log_is_replaced(worker: LocalWorker) -> None:
    answer = await rig.get(worker, "/health/live", headers={"x-request-id": "a b"})
    assert answer.headers["x-request-id"] not in ("", "a b")


async def test_info_tells_the_engine(worker: LocalWorker) -> None:
    body = (await rig.get(worker, "/worker/info")).json()
    assert body["phase"] == "ready"
    assert body["runtime"]["simulated"] is True
    assert body["stats"]["running"] == 0


async def test_metrics_count_what_was_served(worker: LocalWorker) -> None:
    await rig.complete(worker, max_tokens=2)
    page = (await rig.get(worker, "/metrics")).body.decode()
    assert 'tokenforge_requests_total{operation="completions",outcome="ok"}' in page
    assert 'tokenforge_worker_state{state="ready"} 1.0' in page
    assert "tokenforge_request_time_to_first_token_seconds_bucket" in page


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_client_that_leaves_frees_its_place_within_a_second(worker: LocalWorker, is_stream: bool) -> None:
    reader, writer = await rig.connect(worker)
    body = {"model": "tiny", "prompt": [5], "max_tokens": 2000, "ignore_eos": True, "stream": is_stream}
    await rig.send_request(writer, "POST", "/v1/completions", json.dumps(body).encode())
    if is_stream:
        await reader.readline()
    await rig.until_running(worker, 1)
    writer.close()
    left = time.monotonic()
    await rig.until_running(worker, 0)
    assert time.monotonic() - left < 1.0


async def test_prompts_are_not_logged(worker: LocalWorker) -> None:
    await rig.complete(worker, prompt="a very secret prompt", max_tokens=1)
    assert "secret" not in worker.log_path.read_text()
