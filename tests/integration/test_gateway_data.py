"""The data plane on real sockets: what passes, what is tried elsewhere, what clients and workers see."""

import asyncio
import contextlib
import gc
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from gateway_rig import GOOD, USAGE, Hanging, Rig, dropping, event, gateway, piece, refusing, streaming

from tokenforge.bench.driver.exchange import gateway_ns
from tokenforge.gateway.http.connection import Connection
from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.http.reader import RequestReader
from tokenforge.gateway.plane import Passage
from tokenforge.gateway.upstream_answer import UpstreamAnswer
from tokenforge.gateway.upstream_connection import UpstreamConnection
from tokenforge.telemetry.logs import JsonLines

INFER = {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 2}
ASK = {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 2, "stream": True}


@pytest.fixture(params=[False, True], ids=["cold", "warm"])
async def rig(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """Twice: nothing is open to the workers, so a task opens it; or it is, and callbacks do."""
    async with gateway(tmp_path, is_warm=request.param) as made:
        yield made


async def test_a_stream_passes_through_untouched(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    status, body, headers = await rig.post("/v1/completions", ASK)
    assert (status, body) == (200, b"".join(GOOD))
    assert headers["content-type"] == "text/event-stream"


async def test_a_stream_tells_how_long_the_gateway_had_it(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    _, _, headers = await rig.post("/v1/completions", ASK)
    waited_ns = gateway_ns(headers["server-timing"])
    assert waited_ns is not None
    assert 0 < waited_ns < 10**10


async def test_a_body_reaches_the_worker_as_the_client_sent_it(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    sent = b'{ "model":"synthetic:tiny",  "unknown": [1, 2] }'
    await rig.post("/v1/chat/completions", sent, **{"x-request-id": "mine"})
    ((_, received, headers),) = rig.asked
    assert received == sent
    assert headers["x-request-id"] == "mine"


async def test_the_trace_that_a_request_belongs_to_reaches_the_worker(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=1"}
    for path in ("/v1/completions", "/infer"):
        await rig.post(path, {**INFER}, **trace)
        assert trace.items() <= rig.asked[-1][2].items()


async def page_of(rig: Rig) -> str:
    return (await rig.get("/metrics"))[1].decode()  # type: ignore[no-any-return]


async def test_usage_is_what_the_engine_told_or_what_was_delivered_when_it_was_cut(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    await rig.post("/v1/completions", ASK)
    assert 'tokenforge_http_usage_tokens_total{kind="completion",source="engine"} 2.0' in await page_of(rig)
    await rig.deploy(streaming(piece("one"), piece("two"), piece("three"), cut=True), runtime="vllm")
    await rig.post("/v1/completions", ASK, **{"x-tokenforge-runtime": "vllm"})
    assert 'tokenforge_http_usage_tokens_total{kind="completion",source="events"} 3.0' in await page_of(rig)


async def test_usage_of_a_client_that_leaves_is_what_it_was_given(rig: Rig) -> None:
    hanging = Hanging()
    await rig.deploy(hanging)
    async with rig.client.post(rig.url + "/v1/completions", json=ASK) as answer:
        await hanging.begun.wait()
        await answer.content.readany()
    await rig.app.plane.empty.wait()
    assert 'tokenforge_http_usage_tokens_total{kind="completion",source="events"} 1.0' in await page_of(rig)


async def test_a_failure_is_told_in_the_log_with_its_trace_and_without_its_prompt(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    await rig.deploy(refusing(429))
    caplog.set_level("INFO")
    trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-request-id": "mine"}
    await rig.post("/v1/completions", {**ASK, "prompt": "a secret"}, **trace)
    await rig.app.plane.empty.wait()
    (record,) = [record for record in caplog.records if record.getMessage() == "request"]
    told = json.loads(JsonLines("gateway").format(record))
    assert (told["outcome"], told["status"], told["request_id"]) == ("worker_429", 429, "mine")
    assert (told["trace_id"], told["replica"]) == ("0af7651916cd43dd8448eb211c80319c", "d0-0")
    assert "secret" not in str(told)


async def test_infer_answers_text_usage_and_timings(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    status, body, headers = await rig.post("/infer", INFER, **{"x-request-id": "mine"})
    assert (status, body["text"], body["finish_reason"]) == (200, "Hello", "length")
    assert (body["usage"]["total_tokens"], body["runtime"], body["id"]) == (4, "sim", "mine")
    timings = body["timings"]
    assert 0 <= timings["queue_ms"] <= timings["ttft_ms"] <= timings["total_ms"]
    assert headers["x-request-id"] == "mine"


async def test_infer_streams_tokens_then_done(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    _, body, _ = await rig.post("/infer", {**INFER, "stream": True})
    events = [part.split("\n") for part in body.decode().strip().split("\n\n")]
    assert [lines[0] for lines in events] == ["event: token", "event: token", "event: done"]
    assert json.loads(events[-1][1].removeprefix("data: "))["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize("bad", [dropping, refusing(503), refusing(429), refusing(500), streaming(cut=True)])
async def test_what_fails_before_the_first_byte_is_tried_elsewhere(rig: Rig, bad: object) -> None:
    await rig.deploy(bad, streaming(*GOOD))  # type: ignore[arg-type]
    for path, body in (("/infer", INFER), ("/v1/completions", {**ASK})) * 2:
        status, _, _ = await rig.post(path, body)
        assert status == 200


async def test_when_the_first_token_never_came_infer_tries_another_replica(rig: Rig) -> None:
    await rig.deploy(streaming(piece(""), cut=True), streaming(*GOOD))
    answers = [await rig.post("/infer", {**INFER, "stream": True}) for _ in range(2)]
    assert [status for status, _, _ in answers] == [200, 200]
    assert all(b"event: done" in body for _, body, _ in answers)


@pytest.mark.parametrize("path", ["/infer", "/v1/completions"])
async def test_a_full_replica_is_429_with_retry_after_in_its_own_words(rig: Rig, path: str) -> None:
    await rig.deploy(refusing(429))
    status, _, headers = await rig.post(path, INFER)
    assert (status, headers["retry-after"]) == (429, "3")


async def test_a_replica_that_is_gone_is_503_and_named(rig: Rig) -> None:
    await rig.deploy(dropping)
    status, body, headers = await rig.post("/infer", INFER)
    assert (status, body["code"], headers["retry-after"]) == (503, "not_ready", "2")
    assert "no replica" in body["detail"]


async def test_a_stream_cut_in_the_middle_ends_with_an_error_event_and_not_as_whole(rig: Rig) -> None:
    await rig.deploy(streaming(piece("half"), cut=True))
    _, openai, _ = await rig.post("/v1/completions", ASK)
    _, ours, _ = await rig.post("/infer", {**INFER, "stream": True})
    assert b'"code": "upstream_failed"' in openai
    assert b"[DONE]" not in openai
    assert b"event: error" in ours
    assert b"event: done" not in ours


async def test_a_stream_that_ends_without_its_end_is_not_a_whole_answer(rig: Rig) -> None:
    await rig.deploy(streaming(piece("half")))
    status, body, _ = await rig.post("/infer", INFER)
    assert (status, body["code"]) == (503, "not_ready")


async def test_a_client_that_leaves_frees_the_worker_within_a_second(rig: Rig) -> None:
    for path in ("/v1/completions", "/infer"):
        hanging = Hanging()
        runtime = "sim" if path == "/infer" else "vllm"
        await rig.deploy(hanging, runtime=runtime)
        body = {**ASK, "stream": True}
        async with rig.client.post(rig.url + path, json=body, headers={"x-tokenforge-runtime": runtime}):
            await hanging.begun.wait()
        async with asyncio.timeout(1.0):
            await hanging.gone.wait()
            await rig.app.plane.empty.wait()


async def test_the_deadline_ends_a_request_with_504_or_an_error_event(rig: Rig) -> None:
    await rig.deploy(Hanging())
    status, body, _ = await rig.post("/infer", INFER, **{"x-tokenforge-timeout-s": "0.2"})
    assert (status, body["code"]) == (504, "deadline_exceeded")
    _, stream, _ = await rig.post("/v1/completions", ASK, **{"x-tokenforge-timeout-s": "0.2"})
    assert b"deadline_exceeded" in stream


async def test_requests_beyond_a_replicas_capacity_wait_for_a_place(rig: Rig) -> None:
    identity = await rig.deploy(streaming(*GOOD))
    await rig.capacity(identity, 1)
    answers = await asyncio.gather(*(rig.post("/infer", INFER) for _ in range(12)))
    assert [status for status, _, _ in answers] == [200] * 12


async def test_a_full_queue_is_429_at_once(rig: Rig) -> None:
    identity = await rig.deploy(Hanging())
    await rig.capacity(identity, 1)
    rig.app.plane.router.max_waiting = 0
    held = [asyncio.create_task(rig.post("/v1/completions", ASK)) for _ in range(2)]
    await rig.until(lambda: rig.app.plane.router.in_flight(f"{identity}-0") == 2)
    status, body, headers = await rig.post("/v1/completions", ASK)
    assert (status, body["error"]["code"], headers["retry-after"]) == (429, "overloaded", "1")
    for task in held:
        task.cancel()


async def test_the_runtime_field_and_header_choose_and_without_them_both_are_used(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD), runtime="sim")
    await rig.deploy(streaming(*GOOD), runtime="vllm@0.32.0")
    named = [(await rig.post("/infer", {**INFER, "runtime": "vllm"}))[1]["runtime"] for _ in range(3)]
    either = {(await rig.post("/infer", INFER))[1]["runtime"] for _ in range(4)}
    assert set(named) == {"vllm@0.32.0"}
    assert either == {"sim", "vllm@0.32.0"}
    rig.asked.clear()
    await rig.post("/v1/completions", ASK, **{"x-tokenforge-runtime": "sim"})
    assert rig.asked[0][0].startswith("d0")


async def test_models_lists_each_model_once_with_its_runtimes(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD), runtime="sim")
    await rig.deploy(runtime="vllm")
    _, body, _ = await rig.get("/v1/models")
    (model,) = body["data"]
    assert (model["id"], model["runtimes"], model["ready"]) == ("synthetic:tiny", ["sim", "vllm"], True)


async def test_an_unknown_model_says_how_to_deploy_it(rig: Rig) -> None:
    status, body, _ = await rig.post("/infer", INFER)
    assert status == 404
    assert "POST /deploy" in body["detail"]
    status, body, _ = await rig.post("/v1/completions", ASK)
    assert (status, body["error"]["code"]) == (404, "not_found")


async def test_a_deployment_that_loads_is_503_with_its_condition(rig: Rig) -> None:
    await rig.deploy()
    status, body, headers = await rig.post("/infer", INFER)
    assert (status, headers["retry-after"]) == (503, "2")
    assert "it loads" in body["detail"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 20_000, b'{"model": 7}', b'{"model": NaN}'])
@pytest.mark.parametrize("path", ["/infer", "/v1/completions", "/v1/chat/completions"])
async def test_a_broken_body_is_400_and_reaches_no_worker(rig: Rig, path: str, body: bytes) -> None:
    await rig.deploy(streaming(*GOOD))
    status, _, _ = await rig.post(path, body)
    assert status == 400
    assert not rig.asked


async def test_a_body_beyond_the_limit_is_413(rig: Rig) -> None:
    assert (await rig.post("/infer", b" " * (17 << 20)))[0] == 413


async def test_a_deadline_that_is_no_time_is_400(rig: Rig) -> None:
    status, body, _ = await rig.post("/infer", INFER, **{"x-tokenforge-timeout-s": "soon"})
    assert (status, body["errors"][0]["field"]) == (400, "x-tokenforge-timeout-s")


async def test_connections_that_come_and_go_leave_nothing_in_flight(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))

    async def leave_at_random(number: int) -> None:
        timeout = aiohttp.ClientTimeout(total=0.001 * (number % 30) + 0.001)
        try:
            async with rig.client.post(f"{rig.url}/infer", json={**INFER, "stream": True}, timeout=timeout) as answer:
                await answer.read()
        except (TimeoutError, aiohttp.ClientError):
            pass

    await asyncio.gather(*(leave_at_random(number) for number in range(60)))
    await rig.until(lambda: rig.app.plane.in_flight == rig.app.plane.router.in_flight("d0-0") == 0)


HELD = (Connection, RequestReader, Exchange, Passage, UpstreamConnection, UpstreamAnswer)


def held(before: set[int]) -> list[str]:
    """What the gateway made since for requests, and still has."""
    made = [one for one in gc.get_objects() if isinstance(one, HELD) and id(one) not in before]
    return [type(one).__name__ for one in made]


async def test_who_is_gone_is_forgotten_at_once_and_not_only_when_garbage_is_collected(rig: Rig) -> None:
    await rig.deploy(Hanging(), runtime="sim")
    await rig.deploy(streaming(*GOOD), runtime="vllm")
    gc.collect()
    before = {id(one) for one in gc.get_objects() if isinstance(one, HELD)}
    gc.disable()
    try:
        for number in range(12):
            timeout = aiohttp.ClientTimeout(total=0.2)
            runtime = "vllm" if number % 2 else "sim"
            asked = {**ASK, "model": "nothing"} if number % 3 == 0 else ASK
            headers = {"x-tokenforge-runtime": runtime, "connection": "close"}
            with contextlib.suppress(TimeoutError):
                async with rig.client.post(
                    f"{rig.url}/v1/completions", json=asked, headers=headers, timeout=timeout
                ) as told:
                    await told.read()
        await rig.until(lambda: held(before) in ([], ["UpstreamConnection"]))  # one may be kept for the next request
    finally:
        gc.enable()


async def test_one_deployment_has_openais_api_to_itself(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD), runtime="sim")
    one = await rig.deploy(streaming(*GOOD), runtime="vllm")
    for _ in range(3):
        assert (await rig.post(f"/deployments/{one}/v1/completions", ASK))[0] == 200
    assert {name for name, _, _ in rig.asked} == {f"{one}-0"}
    assert (await rig.get(f"/deployments/{one}/v1/models"))[1]["data"][0]["runtimes"] == ["vllm"]
    assert (await rig.get(f"/deployments/{one}/worker/info"))[1]["runtime"]["engine"] == "twin"


async def test_a_deployment_that_is_not_there_has_no_api(rig: Rig) -> None:
    assert (await rig.post("/deployments/nobody/v1/completions", ASK))[0] == 404
    assert (await rig.get("/deployments/nobody/v1/models"))[0] == 404


async def test_a_replica_that_came_up_this_moment_is_found_before_anybody_is_refused(rig: Rig) -> None:
    identity = await rig.deploy()
    late = await rig.deploy(streaming(*GOOD), runtime="vllm")
    seen = (await rig.store.deployments.get(late)).observed
    await rig.store.observations.observe(identity, seen, lease=rig.lease)  # and nobody refreshes the table
    assert (await rig.post("/infer", {**INFER, "runtime": "sim"}))[0] == 200


async def test_an_answer_without_text_is_an_answer(rig: Rig) -> None:
    usage = event({"choices": [], "usage": USAGE})
    await rig.deploy(streaming(piece("", "stop"), usage, event(b"[DONE]")))
    status, body, _ = await rig.post("/infer", INFER)
    assert (status, body["text"], body["timings"]["ttft_ms"], body["finish_reason"]) == (200, "", None, "stop")


async def test_an_engine_that_fails_before_its_first_token_is_tried_elsewhere(rig: Rig) -> None:
    await rig.deploy(streaming(event({"error": {"message": "gone", "code": "engine_dead"}})), streaming(*GOOD))
    for stream in (True, False) * 2:
        assert (await rig.post("/infer", {**INFER, "stream": stream}))[0] == 200


async def test_a_whole_answer_is_asked_again_when_its_engine_failed_half_way(rig: Rig) -> None:
    failing = streaming(piece("half"), event({"error": {"message": "gone", "code": "engine_dead"}}))
    await rig.deploy(failing, streaming(*GOOD))
    assert {(await rig.post("/infer", INFER))[1]["text"] for _ in range(4)} == {"Hello"}
