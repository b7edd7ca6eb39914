"""What the worker's integration tests share: a tiny model folder, launches of `sim`, and a raw HTTP client."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenforge.cluster.base import Launch
from tokenforge.cluster.local import LocalCluster
from tokenforge.cluster.local_worker import LocalWorker
from tokenforge.domain.worker import RuntimeSpec, WorkerSpec

READY_LIMIT_S = 30.0
ANSWER_LIMIT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def events(self) -> list[Any]:
        """The JSON events of a stream, without the mark at its end."""
        lines = [line.removeprefix(b"data: ") for line in self.body.split(b"\n\n") if line]
        return [json.loads(line) for line in lines if line != b"[DONE]"]


def launch_of(
    model: Path,
    *,
    name: str = "w",
    runtime: str = "sim",
    port: int = 0,
    max_waiting: int = 64,
    drain_s: float = 5.0,
    engine_args: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
) -> Launch:
    """A launch of the simulator with this Python."""
    runtime_spec = RuntimeSpec(
        runtime=runtime, model_path=str(model), served_name="tiny", engine_args=dict(engine_args or {})
    )
    spec = WorkerSpec(name=name, runtime=runtime_spec, port=port, max_waiting=max_waiting, drain_s=drain_s)
    return Launch(spec=spec, python=Path(sys.executable), process_env={**os.environ, **(env or {})})


@asynccontextmanager
async def running(folder: Path, launch: Launch) -> AsyncIterator[LocalWorker]:
    """A ready worker, stopped at the end."""
    cluster = LocalCluster(folder)
    try:
        worker = await cluster.launch(launch)
        await worker.ready(timeout_s=READY_LIMIT_S)
        yield worker
    finally:
        await cluster.close()


async def until(check: Callable[[], Awaitable[bool]], *, limit_s: float = 5.0) -> None:
    """Wait until `check` holds; raises TimeoutError."""
    async with asyncio.timeout(limit_s):
        while True:
            if await check():
                return
            await asyncio.sleep(0.01)


async def until_running(worker: LocalWorker, count: int) -> None:
    """Wait until the engine runs that many requests and as many are inside."""

    async def check() -> bool:
        body = (await get(worker, "/worker/info")).json()
        return bool(body["stats"]["running"] == count == body["admission"]["inside"])

    await until(check)


async def get(worker: LocalWorker, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
    """GET a path."""
    return await request(worker, "GET", path, b"", headers=headers)


async def post(worker: LocalWorker, path: str, body: object, *, headers: Mapping[str, str] | None = None) -> Answer:
    """POST a JSON body."""
    return await request(worker, "POST", path, json.dumps(body).encode(), headers=headers)


async def complete(worker: LocalWorker, **fields: object) -> Answer:
    """POST a completion of three ids."""
    return await post(worker, "/v1/completions", {"model": "tiny", "prompt": [5, 6, 7], **fields})


async def request(
    worker: LocalWorker, method: str, path: str, body: bytes, *, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request on a connection of its own."""
    async with asyncio.timeout(ANSWER_LIMIT_S):
        reader, writer = await connect(worker)
        try:
            await send_request(writer, method, path, body, headers=headers)
            return parse_answer(await reader.read())
        finally:
            writer.close()
            await asyncio.wait({asyncio.ensure_future(writer.wait_closed())}, timeout=1.0)


async def connect(worker: LocalWorker) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the worker."""
    host, _, port = worker.url.removeprefix("http://").rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def send_request(
    writer: asyncio.StreamWriter, method: str, path: str, body: bytes, *, headers: Mapping[str, str] | None = None
) -> None:
    """Write a request that asks for the connection to be closed after it."""
    lines = [f"{method} {path} HTTP/1.1", "host: test", "connection: close", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()


def parse_answer(raw: bytes) -> Answer:
    """A whole answer from its bytes."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = _dechunked(body)
    return Answer(status=int(status_line.split()[1]), headers=headers, body=body)


def _dechunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        whole, body = whole + rest[:length], rest[length + 2 :]
        if length == 0:
            break
    return whole
