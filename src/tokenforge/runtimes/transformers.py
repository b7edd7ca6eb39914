"""Hugging Face Transformers with its continuous batching, in this process; 5.17 to 5.19.

The engine steps in a thread that may die over a failed step: it is watched, and its death ends every stream with
EngineDead. Its queue has no bound, so the bound is here. A cancelled request delivers nothing more: its stream is ended
here. Prompt tokens found in its cache are told by our own steps alone; with Transformers' own `cached_tokens` stays 0.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from tokenforge.domain.errors import EngineDead, EngineError, Overloaded
from tokenforge.domain.generation import (
    Chunk,
    FinishReason,
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
from tokenforge.runtimes.transformers_plan import QUANTS, make_recipe

if TYPE_CHECKING:
    from tokenforge.runtimes.paged.batching import PagedBatching
    from tokenforge.runtimes.transformers_batching import Batching

_MAX_WAITING = 1024
_WATCH_EVERY_S = 0.25
_ABORT_PATIENCE_S = 2.0
_ABORTED = object()


class TransformersRuntime:
    """One Transformers model under continuous batching; see `Runtime` for the contract."""

    def __init__(self, spec: RuntimeSpec) -> None:
        self._spec = spec
        self._batching: Batching | PagedBatching | None = None
        self._info: RuntimeInfo | None = None
        self._open = OpenStreams()
        self._queues: dict[str, asyncio.Queue[Any]] = {}
        self._serial = itertools.count()
        self._watcher: asyncio.Task[None] | None = None
        self._scoring = asyncio.Lock()

    async def start(self) -> RuntimeInfo:
        """Load the model in a thread."""
        self._batching = await asyncio.to_thread(_load, self._spec)
        self._info = self._batching.info()
        self._watcher = asyncio.create_task(self._watch(self._batching))
        return self._info

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Chunk]:
        """Yield chunks until one has `finish`."""
        batching, info = self._ready()
        refuse_unfit(request, info, vocab_size=batching.vocab_size)
        if len(self._open) >= batching.max_num_seqs + _MAX_WAITING:
            raise Overloaded(f"{len(self._open)} requests are running or waiting")
        outputs: asyncio.Queue[Any] = asyncio.Queue()
        key = f"{request.request_id}#{next(self._serial)}"
        with self._open.hold(request.request_id):
            self._queues[request.request_id] = outputs
            is_ended = False
            try:
                batching.submit(request, key=key, on_output=outputs.put_nowait)
                async for chunk in _chunks(request, outputs, batching):
                    is_ended = chunk.finish is not None and chunk.finish is not FinishReason.ABORT
                    yield chunk
            finally:
                del self._queues[request.request_id]
                if not is_ended:
                    batching.cancel(key)

    async def score(self, request: ScoreRequest) -> tuple[TokenLogprob, ...]:
        """Log-probabilities of given tokens, one request after another, in a thread."""
        batching, info = self._ready()
        refuse_unfit_score(request, info, vocab_size=batching.vocab_size)
        async with self._scoring:
            return await asyncio.to_thread(batching.scoring.score, request)

    async def abort(self, request_id: str) -> None:
        """End one request now."""
        if (outputs := self._queues.get(request_id)) is not None:
            outputs.put_nowait(_ABORTED)

    async def health(self) -> None:
        """Return when the batching thread lives."""
        batching, _ = self._ready()
        if not batching.is_alive():
            raise EngineDead("the batching thread died", hint="see the worker's log")

    def stats(self) -> RuntimeStats:
        """What the scheduler holds."""
        return RuntimeStats(running=0, waiting=0) if self._batching is None else self._batching.stats()

    async def close(self, grace_s: float) -> None:
        """Wait for streams, abort the rest, stop the thread."""
        batching, self._batching = self._batching, None
        if batching is None:
            return
        self._open.refuse_more()
        await self._open.ended(timeout_s=grace_s)
        for request_id in self._open.ids():
            await self.abort(request_id)
        await self._open.ended(timeout_s=_ABORT_PATIENCE_S)
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        await asyncio.to_thread(batching.shutdown)

    def _ready(self) -> "tuple[Batching | PagedBatching, RuntimeInfo]":
        if self._batching is None or self._info is None:
            raise EngineDead("the Transformers engine is not running")
        return self._batching, self._info

    async def _watch(self, batching: "Batching | PagedBatching") -> None:
        """Tell every stream when the thread has died; what it left undelivered would hang otherwise."""
        while True:
            await asyncio.sleep(_WATCH_EVERY_S)
            if not batching.is_alive():
                for outputs in self._queues.values():
                    outputs.put_nowait(EngineDead("the batching thread died", hint="see the worker's log"))


async def _chunks(
    request: GenerateRequest, outputs: "asyncio.Queue[Any]", batching: "Batching | PagedBatching"
) -> AsyncIterator[Chunk]:
    """Outputs are cumulative, so of those that queued up the last one tells all."""
    usage = Usage(prompt_tokens=len(request.prompt_ids), completion_tokens=0)
    while True:
        output = await outputs.get()
        made_ns = time.monotonic_ns()
        if isinstance(output, EngineDead):
            raise output
        if output is _ABORTED:
            yield Chunk(finish=FinishReason.ABORT, usage=usage, made_ns=made_ns)
            return
        if output.error is not None:
            raise _fault(output.error, batching)
        new = tuple(output.generated_tokens[usage.completion_tokens :])
        usage = Usage(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens + len(new),
            cached_tokens=getattr(output, "cached_tokens", 0),
        )
        finish, reason = _finish(output, request, batching)
        if new or finish is not None:
            taken_ns = _scheduled_ns(output)
            yield Chunk(
                token_ids=new, finish=finish, stop_reason=reason, usage=usage, made_ns=made_ns, scheduled_ns=taken_ns
            )
        if finish is not None:
            return


def _scheduled_ns(output: Any) -> int | None:
    """When the request left the engine's queue; its performance counter is the monotonic clock on Linux."""
    began, _ = getattr(output, "lifespan", (-1.0, -1.0))
    return round(began * 1e9) if began > 0 else None


def _finish(
    output: Any, request: GenerateRequest, batching: "Batching | PagedBatching"
) -> tuple[FinishReason | None, int | None]:
    if not output.is_finished():
        return None, None
    last = output.generated_tokens[-1] if output.generated_tokens else None
    if last in batching.eos_ids and not request.sampling.ignore_eos:
        return FinishReason.STOP, last
    return FinishReason.LENGTH, None


def _fault(cause: str, batching: "Batching | PagedBatching") -> EngineDead | EngineError:
    message = f"Transformers failed the request: {cause}"
    return EngineError(message) if batching.is_alive() else EngineDead(message, hint="see the worker's log")


def _load(spec: RuntimeSpec) -> "Batching | PagedBatching":
    try:
        from tokenforge.runtimes.transformers_start import start_batching
    except ImportError as error:
        hint = "install it: tokenforge runtimes install transformers"
        raise EngineError(f"Transformers cannot be imported: {error}", hint=hint) from error
    return start_batching(spec)


PLUG = RuntimePlug(
    name="transformers",
    summary="Hugging Face Transformers with continuous batching, in process",
    recipe=make_recipe,
    build=TransformersRuntime,
    quants=QUANTS,
    share_arg="memory_fraction",
)
