"""The host: one Runtime and the phase it is in, from its start to its end.

It starts the engine while HTTP already answers, watches its health, and tells whoever waits (`ended`) when the engine
is dead. It does no HTTP and knows no client.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import cast

from tokenforge.domain.errors import EngineDead, InvalidRequest, NotReady, TokenForgeError
from tokenforge.domain.generation import Chunk, GenerateRequest, RuntimeInfo, RuntimeStats, ScoreRequest, TokenLogprob
from tokenforge.domain.worker import RuntimeSpec, WorkerSpec
from tokenforge.models.tokenizers import TOKENIZER_FILE, load_tokenizer
from tokenforge.protocol.worker_spec import WorkerPhase, can_step
from tokenforge.runtimes.base import Forwarder, Runtime, Scorer
from tokenforge.runtimes.text import with_text
from tokenforge.worker.prompts import Prompts, read_specials

_log = logging.getLogger(__name__)

HEALTH_EVERY_S = 1.0
HEALTH_LIMIT_S = 60.0
CLOSE_LIMIT_S = 15.0


class Host:
    """One engine of one worker. `build` makes the runtime; it is called in a thread, since it may import an engine."""

    def __init__(
        self, spec: WorkerSpec, *, build: Callable[[RuntimeSpec], Runtime], on_phase: Callable[["Host"], None]
    ) -> None:
        self.spec = spec
        self.phase = WorkerPhase.STARTING
        self.info: RuntimeInfo | None = None
        self.error: Exception | None = None
        self.ended = asyncio.Event()
        self.prompts: Prompts | None = None
        self.load_s: dict[str, float] = {}
        self._build = build
        self._on_phase = on_phase
        self._runtime: Runtime | None = None
        self._is_closing = False

    @property
    def forwarder(self) -> Forwarder | None:
        """The runtime, where another server is behind it."""
        runtime: object = self._runtime
        return runtime if isinstance(runtime, Forwarder) else None

    @property
    def cause(self) -> str | None:
        """Why it failed, as one line."""
        if self.error is None:
            return None
        text = " ".join(str(self.error).split())
        return text if isinstance(self.error, TokenForgeError) else f"{type(self.error).__name__}: {text}"

    async def run(self) -> None:
        """Start the engine, then watch it until it dies. Never raises: a failure is a phase with a cause."""
        try:
            await self._start()
            await self._watch()
        except Exception as error:  # noqa: BLE001 - the edge of the process: any engine may raise anything
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Note that the engine is gone for good. The first cause counts."""
        if self._step(WorkerPhase.FAILED, error=error):
            _log.error("engine failed: %s", self.cause)
            self.ended.set()

    def drain(self) -> None:
        """Take no new requests; those inside go on."""
        self._step(WorkerPhase.DRAINING)

    def require_ready(self) -> RuntimeInfo:
        """The info of a serving engine. Raises NotReady or EngineDead, each with the phase."""
        if self.phase is WorkerPhase.READY and self.info is not None:
            return self.info
        if self.phase is WorkerPhase.FAILED:
            raise EngineDead(f"the engine is gone: {self.cause}", hint="The worker must be restarted")
        raise NotReady(f"worker {self.spec.name} is {self.phase.value}", retry_after_s=2.0)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[Chunk, None]:
        """Chunks with their text. A death of the engine seen here ends the worker at once, not at the next watch."""
        if self._runtime is None or self.info is None:
            raise NotReady(f"worker {self.spec.name} is {self.phase.value}")
        if self.info.token_level and self.prompts is not None:
            chunks = with_text(self._runtime, request, self.prompts.tokenizer.raw)
        else:
            chunks = self._runtime.generate(request)
        try:
            async with aclosing(cast("AsyncGenerator[Chunk, None]", chunks)) as stream:
                async for chunk in stream:
                    yield chunk
        except EngineDead as error:
            if not self._is_closing:
                self.fail(error)
            raise

    async def score(self, request: ScoreRequest) -> tuple[TokenLogprob, ...]:
        """Log-probabilities of given tokens. Raises InvalidRequest where the runtime cannot score."""
        runtime: object = self._runtime
        if self.info is None or not isinstance(runtime, Scorer):
            raise InvalidRequest("this runtime cannot score a prompt", field="prompt_logprobs", hint="leave it out")
        try:
            return await runtime.score(request)
        except EngineDead as error:
            if not self._is_closing:
                self.fail(error)
            raise

    def stats(self) -> RuntimeStats | None:
        """The engine's snapshot, None while there is no engine."""
        is_up = self.phase in (WorkerPhase.READY, WorkerPhase.DRAINING)
        return self._runtime.stats() if self._runtime is not None and self.info is not None and is_up else None

    async def close(self) -> None:
        """End the engine; what is inside ends with finish=abort."""
        self._is_closing = True
        if self._runtime is None:
            return
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._runtime.close(0.0)
        except Exception as error:  # noqa: BLE001 - the edge of the process: it ends anyway, and says why not cleanly
            _log.warning("engine did not close cleanly: %s: %s", type(error).__name__, error)

    async def _start(self) -> None:
        self._step(WorkerPhase.LOADING)
        with self._timed("import"):
            self._runtime = await asyncio.to_thread(self._build, self.spec.runtime)
        with self._timed("tokenizer"):
            if self.forwarder is None or (Path(self.spec.runtime.model_path) / TOKENIZER_FILE).is_file():
                self.prompts = await asyncio.to_thread(_load_prompts, Path(self.spec.runtime.model_path))
        with self._timed("engine"):
            self.info = await self._runtime.start()
        self._step(WorkerPhase.READY)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        """Note how long a part of coming up took."""
        began = time.monotonic()
        yield
        self.load_s[part] = time.monotonic() - began

    async def _watch(self) -> None:
        while self._runtime is not None and self.phase is WorkerPhase.READY:
            await asyncio.sleep(HEALTH_EVERY_S)
            try:
                async with asyncio.timeout(HEALTH_LIMIT_S):
                    await self._runtime.health()
            except TimeoutError:
                raise EngineDead(f"the engine did not answer a health check in {HEALTH_LIMIT_S:g} s") from None

    def _step(self, phase: WorkerPhase, *, error: Exception | None = None) -> bool:
        if not can_step(self.phase, phase):
            return False
        self.phase, self.error = phase, error
        self._on_phase(self)
        return True


def _load_prompts(folder: Path) -> Prompts:
    return Prompts(load_tokenizer(folder), read_specials(folder))
