"""vLLM in this process: its asynchronous engine, with text, stop strings and HTTP left to us.

The engine's core runs in a child process that vLLM starts; `close` ends it. Tokens come as they are made (DELTA); when
the reader lags, vLLM merges them, so a chunk may hold several. Two engines in one process are refused by vLLM itself:
one worker, one engine. Prefix caching stays as vLLM sets it; `engine_args` can change that like any other option.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tokenforge.domain.errors import EngineDead, EngineError
from tokenforge.domain.generation import (
    Chunk,
    GenerateRequest,
    RuntimeInfo,
    RuntimeStats,
    ScoreRequest,
    TokenLogprob,
    Usage,
)
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.runtimes.base import RuntimePlug
from tokenforge.runtimes.open_streams import OpenStreams
from tokenforge.runtimes.refusals import refuse_unfit, refuse_unfit_score
from tokenforge.runtimes.vllm_recipe import QUANTS, make_recipe

if TYPE_CHECKING:
    from tokenforge.runtimes.vllm_engine import VllmEngine

_ABORT_PATIENCE_S = 2.0


class VllmRuntime:
    """One vLLM engine with one model; see `Runtime` for the contract."""

    def __init__(self, spec: RuntimeSpec) -> None:
        self._spec = spec
        self._engine: VllmEngine | None = None
        self._info: RuntimeInfo | None = None
        self._open = OpenStreams()

    async def start(self) -> RuntimeInfo:
        """Load the model; the imports and the engine's start run in a thread."""
        self._engine = await asyncio.to_thread(_load, self._spec)
        self._info = self._engine.info()
        return self._info

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Chunk]:
        """Yield chunks until one has `finish`."""
        engine, info = self._ready()
        refuse_unfit(request, info, vocab_size=engine.vocab_size)
        with self._open.hold(request.request_id), engine.faults():
            usage = Usage(prompt_tokens=len(request.prompt_ids), completion_tokens=0)
            async with contextlib.aclosing(engine.generate(request)) as outputs:
                async for output in outputs:
                    chunk = engine.to_chunk(output, usage, made_ns=time.monotonic_ns())
                    if usage.completion_tokens == 0:
                        chunk = replace(chunk, scheduled_ns=_scheduled_ns(output))
                    usage = chunk.usage
                    yield chunk
                    if chunk.finish is not None:
                        return

    async def score(self, request: ScoreRequest) -> tuple[TokenLogprob, ...]:
        """Log-probabilities of given tokens."""
        engine, info = self._ready()
        refuse_unfit_score(request, info, vocab_size=engine.vocab_size)
        with self._open.hold(request.request_id), engine.faults():
            return await engine.score(request)

    async def abort(self, request_id: str) -> None:
        """End one request now."""
        if self._engine is not None and request_id in self._open:
            await self._engine.abort(request_id)

    async def health(self) -> None:
        """Return when the engine lives."""
        engine, _ = self._ready()
        await engine.check()

    def stats(self) -> RuntimeStats:
        """The engine's last word, bounded by what we have open: it says nothing after its last request ended."""
        if self._engine is None:
            return RuntimeStats(running=0, waiting=0)
        return self._engine.stats(open_requests=len(self._open))

    async def close(self, grace_s: float) -> None:
        """Wait for streams, abort the rest, end the engine's processes."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        self._open.refuse_more()
        await self._open.ended(timeout_s=grace_s)
        for request_id in self._open.ids():
            await engine.abort(request_id)
        await self._open.ended(timeout_s=_ABORT_PATIENCE_S)
        engine.stop_listening()
        await asyncio.to_thread(engine.shutdown)

    def _ready(self) -> "tuple[VllmEngine, RuntimeInfo]":
        if self._engine is None or self._info is None:
            raise EngineDead("the vLLM engine is not running")
        return self._engine, self._info


def _scheduled_ns(output: Any) -> int | None:
    """When the engine's core took the request up, by its stamp of the monotonic clock (one for all processes)."""
    seconds = getattr(getattr(output, "metrics", None), "scheduled_ts", None)
    return round(seconds * 1e9) if isinstance(seconds, float) and seconds > 0 else None


def _load(spec: RuntimeSpec) -> "VllmEngine":
    try:
        from tokenforge.runtimes.vllm_engine import VllmEngine
    except ImportError as error:
        hint = "install it: tokenforge runtimes install vllm"
        raise EngineError(f"vLLM cannot be imported: {error}", hint=hint) from error
    return VllmEngine.start(spec)


def follow(spec: RuntimeSpec) -> None:
    """One machine's part of an engine that another leads, until that ends. Raises EngineError."""
    try:
        from tokenforge.runtimes.vllm_engine import follow as run
    except ImportError as error:
        hint = "install it: tokenforge runtimes install vllm"
        raise EngineError(f"vLLM cannot be imported: {error}", hint=hint) from error
    run(spec)


PLUG = RuntimePlug(
    name="vllm",
    summary="vLLM's asynchronous engine, in process",
    recipe=make_recipe,
    build=VllmRuntime,
    quants=QUANTS,
    share_arg="gpu_memory_utilization",
    follow=follow,
)
