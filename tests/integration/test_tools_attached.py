"""A server that is attached, with the model's tokenizer here: tools, calls and schemas reach it as they came."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from worker_rig import launch_of, post, running

from tokenforge.cluster.local_worker import LocalWorker

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TURNS = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "done"},
]


@pytest.fixture
async def attached(models: Callable[[str], Path], tmp_path: Path) -> AsyncIterator[tuple[LocalWorker, list[Any]]]:
    """A worker on such a server, and what that one was asked."""
    asked: list[Any] = []

    async def list_models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "tiny"}]})

    async def chat(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.json_response({"choices": []})

    application = web.Application()
    application.router.add_get("/v1/models", list_models)
    application.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    args = {"base_url": f"http://127.0.0.1:{runner.addresses[0][1]}/v1"}
    launch = launch_of(models("tiny"), runtime="openai", engine_args=args)
    async with running(tmp_path, launch) as worker:
        yield worker, asked
    await runner.cleanup()


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [TOOL]},
        {"tools": [TOOL], "tool_choice": "required"},
        {"tools": [TOOL], "tool_choice": "none"},
        {"messages": TURNS},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"pattern": "their own"}}}},
    ],
)
async def test_what_the_server_may_judge_itself_reaches_it_as_it_came(
    attached: tuple[LocalWorker, list[Any]], fields: dict[str, Any]
) -> None:
    worker, asked = attached
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, **fields}
    answer = await post(worker, "/v1/chat/completions", body)
    assert (answer.status, asked) == (200, [body])
