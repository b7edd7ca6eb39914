"""A runtime that repeats the prompt's tokens, over and over, up to `max_tokens`.

It computes nothing, so it says that it is simulated. Everything else is as in a real engine: replace `_next_token`
and `start` by yours. It has no queue: all requests run at once.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path

from tokenforge.domain.errors import EngineDead, EngineError, Fault, InvalidInput, TokenForgeError
from tokenforge.domain.generation import (
    Capabilities,
    Chunk,
    FinishReason,
    GenerateRequest,
    RuntimeInfo,
    RuntimeStats,
    Usage,
)
from tokenforge.domain.runtime import Accelerator, Quant
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.runtimes.base import Recipe, RuntimePlug
from tokenforge.runtimes.open_streams import OpenStreams
from tokenforge.runtimes.refusals import refuse_unfit, refuse_unknown_args

_VERSION = version("tokenforge-echo")
_STEP_S = 0.001
_WINDOW = 2_048


class EchoRuntime:
    """See `tokenforge.runtimes.base.Runtime` for what each method must do."""

    def __init__(self, spec: RuntimeSpec) -> None:
        refuse_unknown_args(spec.engine_args, (), engine="echo")
        self._spec = spec
        self._info: RuntimeInfo | None = None
        self._vocab_size = 0
        self._open = OpenStreams()
        self._aborted: set[str] = set()

    async def start(self) -> RuntimeInfo:
        """Load in a thread, so that the loop stays free."""
        try:
            tokenizer = await asyncio.to_thread(load_tokenizer, Path(self._spec.model_path))
        except TokenForgeError as error:
            raise EngineError(f"echo cannot load the tokenizer: {error}") from error
        self._vocab_size = tokenizer.vocab_size
        self._info = RuntimeInfo(
            runtime="echo",
            engine="echo",
            engine_version=_VERSION,
            model=self._spec.served_name,
            max_model_len=self._spec.max_model_len or _WINDOW,
            capabilities=Capabilities(ignore_eos=True, min_tokens=True),
            simulated=True,
        )
        return self._info

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Chunk]:
        """One token a step. `hold` refuses an id in use, and ends when the reader leaves."""
        refuse_unfit(request, self._running(), vocab_size=self._vocab_size)
        with self._open.hold(request.request_id):
            try:
                for made in range(request.sampling.max_tokens):
                    await asyncio.sleep(_STEP_S)
                    if request.request_id in self._aborted:
                        yield _chunk(request, made=made, finish=FinishReason.ABORT)
                        return
                    finish = FinishReason.LENGTH if made + 1 == request.sampling.max_tokens else None
                    yield _chunk(request, _next_token(request, made), made=made + 1, finish=finish)
            finally:
                self._aborted.discard(request.request_id)

    async def abort(self, request_id: str) -> None:
        """The stream sees it at its next step."""
        if request_id in self._open:
            self._aborted.add(request_id)

    async def health(self) -> None:
        """It serves from its start to its close."""
        self._running()

    def stats(self) -> RuntimeStats:
        """What is not known (a cache, preemptions) is left None, never 0."""
        return RuntimeStats(running=len(self._open), waiting=0)

    async def close(self, grace_s: float) -> None:
        """Streams in flight get the grace, then finish=abort."""
        self._info = None
        self._open.refuse_more()
        await self._open.ended(timeout_s=grace_s)
        self._aborted.update(self._open.ids())
        await self._open.ended(timeout_s=1.0)

    def _running(self) -> RuntimeInfo:
        if self._info is None:
            raise EngineDead("echo is not running")
        return self._info


def _next_token(request: GenerateRequest, position: int) -> int:
    return request.prompt_ids[position % len(request.prompt_ids)]


def _chunk(request: GenerateRequest, *new: int, made: int, finish: FinishReason | None) -> Chunk:
    usage = Usage(prompt_tokens=len(request.prompt_ids), completion_tokens=made)
    return Chunk(token_ids=new, finish=finish, usage=usage, made_ns=time.monotonic_ns())


def _recipe(asked: str | None, _: Accelerator) -> Recipe:
    """No requirements: the installation that TokenForge is in suffices. A real engine names its packages here."""
    if asked not in {None, _VERSION}:
        hint = f"write echo or echo@{_VERSION}"
        raise InvalidInput([Fault(field="runtime", value=f"echo@{asked}", message="can't be had", hint=hint)])
    return Recipe(version=_VERSION)


PLUG = RuntimePlug(
    name="echo",
    summary="Repeats the prompt; a plug-in's example",
    recipe=_recipe,
    build=EchoRuntime,
    quants=dict.fromkeys(Accelerator, frozenset(Quant)),
)
