"""A server that answers as scripted, on a real socket, and the `openai` runtime in front of it."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tokenforge.domain.generation import Chunk, GenerateRequest, Sampling
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.runtimes.openai import OpenAIRuntime

_serial = itertools.count()
Script = Callable[[web.StreamResponse], Awaitable[None]]


def event(text: str = "", **more: object) -> bytes:
    """One completion event; `finish_reason`, `token_ids` and `stop_reason` go into the choice."""
    inside: dict[str, object] = {
        key: more.pop(key) for key in ("finish_reason", "token_ids", "stop_reason") if key in more
    }
    body = {"choices": [{"index": 0, "text": text, **inside}], **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def usage(prompt_tokens: int, completion_tokens: int, **more: object) -> dict[str, object]:
    """A usage object."""
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, **more}


DONE = b"data: [DONE]\n\n"
PLAIN = (
    event("Hel"),
    event("lo", finish_reason="stop", stop_reason="!"),
    b'data: {"choices": [], "usage": %s}\n\n' % json.dumps(usage(3, 2)).encode(),
    DONE,
)


class Server:
    """`pieces` are written one by one; `script` instead decides by itself; `status` other than 200 refuses."""

    def __init__(self, *pieces: bytes, script: Script | None = None) -> None:
        self.pieces = pieces
        self.script = script
        self.status = 200
        self.headers: Mapping[str, str] = {}
        self.words = "no"
        self.models: list[dict[str, object]] = [{"id": "m", "max_model_len": 64, "owned_by": "someone"}]
        self.answers: dict[str, tuple[int, object]] = {}
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.connections: set[object] = set()
        self.left = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Everything comes here."""
        self.connections.add(request.transport)
        self.keys.append(request.headers.get("authorization", ""))
        if request.path == "/v1/completions":
            return await self._complete(request)
        if request.path in self.answers:
            status, body = self.answers[request.path]
            return web.json_response(body, status=status)
        if request.path == "/v1/models":
            return web.json_response({"data": self.models})
        raise web.HTTPNotFound

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        if self.status != 200:
            return web.Response(status=self.status, text=self.words, headers=self.headers)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        try:
            if self.script is not None:
                await self.script(response)
            for piece in self.pieces:
                await response.write(piece)
        except (ConnectionError, asyncio.CancelledError):
            self.left.set()
            raise
        return response


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    """The server on a free port of 127.0.0.1."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def runtime_of(url: str, *, model_path: Path | str = "m", **engine_args: object) -> OpenAIRuntime:
    """The runtime, with prompts as ids unless told otherwise."""
    args = {"base_url": url, "prompt_form": "token_ids", **engine_args}
    return OpenAIRuntime(RuntimeSpec(runtime="openai", model_path=str(model_path), served_name="m", engine_args=args))


@asynccontextmanager
async def started(server: Server, **engine_args: Any) -> AsyncIterator[OpenAIRuntime]:
    """The server, and the runtime started in front of it."""
    async with serving(server):
        runtime = runtime_of(server.url, **engine_args)
        try:
            await runtime.start()
            yield runtime
        finally:
            await runtime.close(0.0)


def ask(*prompt_ids: int, max_tokens: int = 8, **sampling: Any) -> GenerateRequest:
    """A request with an id of its own."""
    options = Sampling(max_tokens=max_tokens, **sampling)
    return GenerateRequest(request_id=f"q{next(_serial)}", prompt_ids=prompt_ids or (1, 2, 3), sampling=options)


async def read(runtime: OpenAIRuntime, request: GenerateRequest | None = None) -> list[Chunk]:
    """All chunks, in 10 s at most."""
    async with asyncio.timeout(10):
        return [chunk async for chunk in runtime.generate(request or ask())]
