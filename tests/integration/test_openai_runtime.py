"""The `openai` runtime in front of our own worker: the faults of a simulated engine keep their kind over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import worker_rig
from openai_rig import ask, runtime_of

from tokenforge.domain.errors import EngineDead, EngineError, InvalidRequest, Overloaded, RuntimeFault
from tokenforge.domain.generation import Chunk, FinishReason, GenerateRequest
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.models.synthetic import make_synthetic
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.runtimes.base import Runtime
from tokenforge.runtimes.sim import SimRuntime


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("tiny", tmp_path_factory.mktemp("models") / "tiny")


@asynccontextmanager
async def before_worker(model: Path, folder: Path, *, max_waiting: int = 64, **sim: object) -> AsyncIterator[Runtime]:
    """The runtime, started in front of a worker that simulates."""
    launch = worker_rig.launch_of(model, max_waiting=max_waiting, engine_args={"step_ms": 1.0, **sim})
    async with worker_rig.running(folder, launch) as worker:
        quirks: dict[str, Any] = {"model": "tiny", "return_token_ids": True, "ignore_eos": True}
        runtime = runtime_of(worker.url, model_path=model, **quirks)
        try:
            await runtime.start()
            yield runtime
        finally:
            await runtime.close(0.0)


async def read(runtime: Runtime, request: GenerateRequest, *, into: list[Chunk] | None = None) -> list[Chunk]:
    """All chunks; `into` keeps those that came before an error."""
    chunks = [] if into is None else into
    async for chunk in runtime.generate(request):
        chunks.append(chunk)
    return chunks


def ids_of(chunks: list[Chunk]) -> list[int]:
    return [token for chunk in chunks for token in chunk.token_ids]


async def stay_healthy(runtime: Runtime) -> None:
    """Ends with EngineDead when the worker has gone, as it does once its engine is dead."""
    async with asyncio.timeout(20):
        while True:
            await runtime.health()
            await asyncio.sleep(0.05)


def greedy(max_tokens: int = 20) -> GenerateRequest:
    return ask(5, 6, 7, max_tokens=max_tokens, temperature=0.0, ignore_eos=True)


async def test_the_ids_and_the_usage_are_those_of_the_engine_itself(model: Path, tmp_path: Path) -> None:
    inside = SimRuntime(RuntimeSpec(runtime="sim", model_path=str(model), served_name="tiny"))
    await inside.start()
    expected = ids_of(await read(inside, greedy()))
    await inside.close(0.0)
    async with before_worker(model, tmp_path) as runtime:
        chunks = await read(runtime, greedy())
    assert ids_of(chunks) == expected
    assert (chunks[-1].finish, chunks[-1].usage.completion_tokens) == (FinishReason.LENGTH, 20)
    assert chunks[-1].usage.prompt_tokens == 3


async def test_a_request_that_the_engine_fails_is_an_engine_error_and_it_lives(model: Path, tmp_path: Path) -> None:
    async with before_worker(model, tmp_path, error_rate=1.0) as runtime:
        for _ in range(2):
            with pytest.raises(EngineError, match="as told"):
                await read(runtime, greedy())
        await runtime.health()


async def test_a_stream_that_breaks_off_is_an_engine_error_after_its_tokens(model: Path, tmp_path: Path) -> None:
    seen: list[Chunk] = []
    async with before_worker(model, tmp_path, truncate_rate=1.0) as runtime:
        with pytest.raises(EngineError):
            await read(runtime, greedy(), into=seen)
    assert 0 < len(ids_of(seen)) <= 10
    assert not [chunk for chunk in seen if chunk.finish is not None]


async def test_an_engine_that_dies_tells_its_reader_and_is_soon_dead_to_who_asks(model: Path, tmp_path: Path) -> None:
    async with before_worker(model, tmp_path, die_after_requests=2) as runtime:
        await read(runtime, greedy(2))
        with pytest.raises(RuntimeFault, match="died as told, after 2 requests"):
            await read(runtime, greedy(2))
        with pytest.raises(EngineDead):
            await stay_healthy(runtime)


async def test_more_than_the_worker_holds_is_overloaded_and_the_rest_is_served(model: Path, tmp_path: Path) -> None:
    async with before_worker(model, tmp_path, max_num_seqs=1, max_waiting=1, step_ms=20.0) as runtime:
        ends = await asyncio.gather(*(read(runtime, greedy(20)) for _ in range(6)), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["Overloaded"] * 4 + ["list"] * 2
    assert all(end.retry_after_s > 0 for end in ends if isinstance(end, Overloaded))


async def test_what_the_worker_refuses_is_the_callers_fault(model: Path, tmp_path: Path) -> None:
    beyond = load_tokenizer(model).vocab_size
    async with before_worker(model, tmp_path) as runtime:
        with pytest.raises(InvalidRequest, match=str(beyond)):
            await read(runtime, ask(beyond, max_tokens=2))
        assert len(ids_of(await read(runtime, greedy(3)))) == 3
