"""The `openai` runtime over its life: start, health, abort, lost connections, close; a command as its server."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from typing import cast

import psutil
import pytest
from aiohttp import web
from openai_rig import DONE, PLAIN, Server, ask, event, read, runtime_of, serving, started, usage
from own_children import children_with

from tokenforge.domain.errors import EngineDead, EngineError, InvalidInput, InvalidRequest
from tokenforge.domain.generation import Chunk, FinishReason
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.runtimes import openai_guard
from tokenforge.runtimes.openai import OpenAIRuntime

# A server in one line of Python: lists `m`, is healthy, and has a child, as engines do.
SERVER = """
import http.server, json, subprocess, sys
child = subprocess.Popen(["sleep", "600"])
print("child", child.pid, flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"data": [{"id": sys.argv[2]}], "child": child.pid}).encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


async def hang(response: web.StreamResponse) -> None:
    """One token, then silence until the client leaves."""
    await response.write(event("a"))
    await asyncio.sleep(60)


async def silent(_: web.StreamResponse) -> None:
    await asyncio.sleep(60)


async def cut(response: web.StreamResponse) -> None:
    await response.write(event("a"))
    assert response._req is not None
    assert response._req.transport is not None
    response._req.transport.abort()


def commanded(*words: str, **args: object) -> OpenAIRuntime:
    spec = RuntimeSpec(
        runtime="openai", model_path="the-model", served_name="m", engine_args={"command": list(words), **args}
    )
    return OpenAIRuntime(spec)


def own_server() -> OpenAIRuntime:
    return commanded(sys.executable, "-c", SERVER, "{port}", "{model}", prompt_form="token_ids")


def guards() -> list[psutil.Process]:
    """The commands that are watched from here; servers of other tests may be children of this process too."""
    return children_with(openai_guard.__file__)


async def stay_healthy(runtime: OpenAIRuntime) -> None:
    while True:
        await runtime.health()


async def until_gone(*pids: int) -> None:
    async with asyncio.timeout(10):
        while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_what_the_server_tells_of_itself_is_told_on() -> None:
    server = Server()
    server.answers["/version"] = (200, {"version": "1.2.3"})
    async with serving(server):
        runtime = runtime_of(server.url + "/v1/")
        info = await runtime.start()
        await runtime.close(0.0)
    assert (info.engine, info.engine_version, info.max_model_len) == ("someone", "1.2.3", 64)
    assert not info.token_level
    assert not info.simulated


async def test_a_simulator_behind_a_url_still_says_that_it_is_one() -> None:
    server = Server()
    own = {"engine": "sim", "engine_version": "0.1", "simulated": True, "max_num_seqs": 4}
    server.answers["/worker/info"] = (200, {"runtime": own})
    async with serving(server):
        runtime = runtime_of(server.url)
        info = await runtime.start()
        await runtime.close(0.0)
    assert (info.engine, info.simulated, info.max_num_seqs) == ("sim", True, 4)


async def test_a_model_that_is_not_listed_is_refused_with_those_that_are() -> None:
    async with serving(Server()) as server:
        runtime = runtime_of(server.url, model="other")
        with pytest.raises(EngineError, match=r"does not list 'other'.* one of: m"):
            await runtime.start()
        await runtime.close(0.0)


async def test_a_server_that_does_not_list_its_model_can_be_told_it() -> None:
    server = Server(*PLAIN)
    async with started(server, model="other", model_listed=False) as runtime:
        await read(runtime)
    assert server.bodies[0]["model"] == "other"


async def test_a_server_whose_list_fails_is_ready_when_it_is_healthy() -> None:
    server = Server(*PLAIN)
    server.answers = {"/v1/models": (500, {}), "/health": (200, {})}
    async with started(server, model="m", model_listed=False) as runtime:
        assert len(await read(runtime)) == 2


async def test_a_refused_key_is_told_at_the_start_and_not_waited_for() -> None:
    server = Server()
    server.answers["/v1/models"] = (401, {})
    async with serving(server):
        runtime = runtime_of(server.url)
        with pytest.raises(EngineError, match="refused the key"):
            await asyncio.wait_for(runtime.start(), 5)
        await runtime.close(0.0)


async def test_a_stream_that_is_left_closes_its_connection() -> None:
    server = Server(script=hang)
    async with started(server) as runtime:
        stream = cast("AsyncGenerator[Chunk, None]", runtime.generate(ask()))
        assert (await anext(stream)).text == "a"
        await stream.aclose()
        await asyncio.wait_for(server.left.wait(), 5)
        assert runtime.stats().running == 0


@pytest.mark.parametrize("script", [hang, silent])
async def test_abort_ends_a_stream_at_once_though_the_server_is_silent(script: object) -> None:
    server = Server(script=script)  # type: ignore[arg-type]
    async with started(server) as runtime:
        request = ask()
        task = asyncio.create_task(read(runtime, request))
        await asyncio.sleep(0.2)
        await runtime.abort(request.request_id)
        chunks = await asyncio.wait_for(task, 2)
        await asyncio.wait_for(server.left.wait(), 5)
    assert chunks[-1].finish is FinishReason.ABORT
    assert chunks[-1].usage.completion_tokens == len(chunks) - 1


async def test_a_cancelled_reader_closes_its_connection() -> None:
    server = Server(script=hang)
    async with started(server) as runtime:
        task = asyncio.create_task(read(runtime))
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.wait_for(server.left.wait(), 5)
        await asyncio.wait({task})
        assert runtime.stats().running == 0


async def test_aborting_an_unknown_id_is_no_error() -> None:
    async with started(Server()) as runtime:
        await runtime.abort("never-seen")


async def test_an_id_in_use_is_refused() -> None:
    async with started(Server(script=hang)) as runtime:
        request = ask()
        task = asyncio.create_task(read(runtime, request))
        await asyncio.sleep(0.1)
        with pytest.raises(InvalidRequest, match="in use"):
            await read(runtime, request)
        await runtime.abort(request.request_id)
        await task


async def test_a_connection_lost_in_the_midst_is_a_dead_engine() -> None:
    async with started(Server(script=cut)) as runtime:
        with pytest.raises(EngineDead, match="connection to the server was lost"):
            await read(runtime)


async def test_a_server_that_went_away_is_a_dead_engine() -> None:
    async with serving(Server(*PLAIN)) as server:
        runtime = runtime_of(server.url)
        await runtime.start()
        await runtime.health()
    with pytest.raises(EngineDead):
        await runtime.health()
    with pytest.raises(EngineDead):
        await read(runtime)
    await runtime.close(0.0)


async def test_a_server_that_calls_itself_unhealthy_is_a_dead_engine() -> None:
    server = Server()
    async with started(server) as runtime:
        await runtime.health()
        server.answers["/health"] = (503, {})
        with pytest.raises(EngineDead, match="HTTP 503"):
            await runtime.health()


async def test_close_lets_streams_end_within_its_grace() -> None:
    async def slow(response: web.StreamResponse) -> None:
        await asyncio.sleep(0.4)
        await response.write(event("a", finish_reason="stop", usage=usage(3, 1)) + DONE)

    async with started(Server(script=slow)) as runtime:
        task = asyncio.create_task(read(runtime))
        await asyncio.sleep(0.1)
        await runtime.close(5.0)
        assert (await task)[-1].finish is FinishReason.STOP


async def test_close_aborts_what_goes_on_and_refuses_what_comes() -> None:
    async with started(Server(script=hang)) as runtime:
        task = asyncio.create_task(read(runtime))
        await asyncio.sleep(0.2)
        await runtime.close(0.0)
        assert (await asyncio.wait_for(task, 2))[-1].finish is FinishReason.ABORT
        await runtime.close(0.0)
        with pytest.raises(EngineDead):
            await read(runtime)


async def test_a_command_is_started_with_its_port_and_model_and_stopped_with_its_children() -> None:
    runtime = own_server()
    info = await runtime.start()
    await runtime.health()
    pids = [one.pid for guard in guards() for one in (guard, *guard.children(recursive=True))]
    await runtime.close(1.0)
    assert info.model == "the-model"
    assert len(pids) >= 3
    await asyncio.wait_for(until_gone(*pids), 5)


async def test_a_command_that_ends_is_a_dead_engine_with_its_last_words() -> None:
    runtime = own_server()
    await runtime.start()
    (guard,) = guards()
    child = guard.children(recursive=True)[-1]
    guard.children()[0].kill()
    with pytest.raises(EngineDead, match=r"exit code 137: child \d+"):
        await asyncio.wait_for(stay_healthy(runtime), 5)
    await runtime.close(0.0)
    await until_gone(child.pid)


async def test_a_command_that_fails_at_its_start_tells_its_last_words_soon() -> None:
    runtime = commanded(sys.executable, "-c", "import sys; print('no such model'); sys.exit(3)")
    with pytest.raises(EngineError, match="exit code 3: no such model"):
        await asyncio.wait_for(runtime.start(), 10)
    await runtime.close(0.0)


async def test_a_program_that_is_not_there_is_named() -> None:
    runtime = commanded("no-such-program", "{port}")
    with pytest.raises(EngineError, match="exit code 127: no-such-program cannot be started: No such file"):
        await asyncio.wait_for(runtime.start(), 10)
    await runtime.close(0.0)


async def test_a_command_that_never_serves_is_given_up_with_its_last_words() -> None:
    runtime = commanded("sh", "-c", "echo loading; exec sleep 600", start_limit_s=0.5)
    with pytest.raises(EngineError, match=r"no answer from .* in 0\.5 s: loading"):
        await asyncio.wait_for(runtime.start(), 10)
    await runtime.close(0.0)


async def test_a_server_that_ignores_sigterm_is_killed() -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    runtime = commanded(sys.executable, "-c", deaf, start_limit_s=1.0)
    with pytest.raises(EngineError):
        await runtime.start()
    pids = [one.pid for guard in guards() for one in (guard, *guard.children(recursive=True))]
    await asyncio.wait_for(runtime.close(0.0), 10)
    await until_gone(*pids)


async def test_closing_before_or_during_the_start_is_safe() -> None:
    runtime = commanded("sleep", "600")
    await runtime.close(0.0)
    start = asyncio.create_task((other := commanded("sleep", "600")).start())
    await asyncio.sleep(0.3)
    start.cancel()
    await asyncio.wait({start})
    await other.close(0.0)
    assert not guards()


def test_the_server_ends_when_its_owner_is_killed() -> None:
    owner = """
import asyncio, psutil, test_openai_runtime_life as life
async def main():
    await life.own_server().start()
    print(*(p.pid for p in psutil.Process().children(recursive=True)), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(pids) >= 3
    asyncio.run(until_gone(*pids))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "needs one of the two"),
        ({"base_url": "http://x", "command": ["a"]}, "needs one of the two"),
        ({"base_url": "x:8000"}, "is not an HTTP address"),
        ({"base_ulr": "http://x"}, "did you mean base_url?"),
        ({"command": "serve --port 1"}, "must be a list of words"),
        ({"base_url": "http://x", "prompt_form": "ids"}, "write text or token_ids"),
        ({"base_url": "http://x", "ignore_eos": "yes"}, "must be true or false"),
        ({"command": ["a"], "start_limit_s": 0}, "must be a number above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(args: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        OpenAIRuntime(RuntimeSpec(runtime="openai", model_path="m", served_name="m", engine_args=args))
    assert message in str(raised.value)


def test_a_misspelt_or_mistyped_key_is_not_repeated() -> None:
    for args in ({"api_key": 12345}, {"apikey": "12345"}):
        with pytest.raises(InvalidInput) as raised:
            OpenAIRuntime(RuntimeSpec(runtime="openai", model_path="m", served_name="m", engine_args=args))
        assert "12345" not in str(raised.value)
