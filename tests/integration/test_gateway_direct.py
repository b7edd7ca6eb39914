"""The short way through the gateway, by callbacks alone: what it leaves to a task, and what it passes on itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from gateway_rig import GOOD, Rig, dropping, gateway, refusing, streaming

ASK = {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 2}
LARGE = {"text": "x" * 3_000_000}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with gateway(tmp_path, is_warm=True) as made:
        yield made


def tasks_of_requests() -> int:
    return sum("Connection._answer" in repr(task.get_coro()) for task in asyncio.all_tasks())


async def test_a_request_takes_no_task(rig: Rig) -> None:
    seen: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        del request
        seen.append(tasks_of_requests())
        return web.json_response({"usage": {"prompt_tokens": 1, "completion_tokens": 2}})

    await rig.deploy(answer)
    assert (await rig.post("/v1/completions", ASK))[0] == 200
    assert seen == [0]


async def test_a_kept_connection_that_its_worker_closed_is_no_failure(rig: Rig) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if len(rig.asked) == 2:
            return await dropping(request)
        return web.json_response({"number": len(rig.asked)})

    await rig.deploy(answer)
    answers = [(await rig.post("/v1/completions", ASK))[1] for _ in range(2)]
    assert answers == [{"number": 1}, {"number": 3}]


async def test_a_large_answer_is_whole(rig: Rig) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        del request
        return web.json_response(LARGE)

    await rig.deploy(answer)
    for _ in range(3):
        status, body, headers = await rig.post("/v1/embeddings", ASK)
        assert (status, body) == (200, LARGE)
        assert int(headers["content-length"]) > 3_000_000


async def test_an_answer_in_chunks_that_is_no_stream_is_sent_whole(rig: Rig) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        for part in (b'{"a"', b": 1}"):
            await response.write(part)
            await asyncio.sleep(0.01)
        return response

    await rig.deploy(answer)
    _, body, headers = await rig.post("/v1/completions", ASK)
    assert (body, headers["content-length"]) == ({"a": 1}, "8")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_refusal_goes_to_another_replica_and_back_when_there_is_no_better(rig: Rig, status: int) -> None:
    await rig.deploy(refusing(status))
    assert (await rig.post("/v1/completions", ASK))[0] == status
    await rig.deploy(streaming(*GOOD), refusing(status), runtime="vllm")
    for _ in range(4):
        asked = {**ASK, "stream": True}
        told, body, _ = await rig.post("/v1/completions", asked, **{"x-tokenforge-runtime": "vllm"})
        assert (told, body) == (200, b"".join(GOOD))


async def test_many_requests_on_one_connection_leave_nothing_behind(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    for _ in range(30):
        assert (await rig.post("/v1/completions", {**ASK, "stream": True}))[1] == b"".join(GOOD)
    plane = rig.app.plane
    assert (plane.in_flight, plane.router.in_flight("d0-0")) == (0, 0)


async def test_requests_sent_ahead_are_answered_in_their_order(rig: Rig) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"prompt": json.loads(await request.read())["prompt"]})

    await rig.deploy(answer)
    host, _, port = rig.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for number in range(5):
        body = json.dumps({**ASK, "prompt": str(number)}).encode()
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body))
        writer.write(body)
    told = []
    for _ in range(5):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        told.append(json.loads(await reader.readexactly(length))["prompt"])
    writer.close()
    assert told == ["0", "1", "2", "3", "4"]
