"""The simulator: an engine without a model, for tests and for trying a deployment. Never a measurement: it says `sim`.

It batches, queues, preempts and fails as told. Tokens depend on (seed, prompt, position) alone, so greedy repeats and a
batch equals a solo run. Clock and sleep are arguments: in virtual time an hour passes in a second.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tokenforge import __version__
from tokenforge.domain.errors import EngineDead, EngineError, Fault, InvalidInput, InvalidRequest, TokenForgeError
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
from tokenforge.runtimes.base import Recipe, RuntimePlug
from tokenforge.runtimes.refusals import refuse_unfit
from tokenforge.runtimes.sim_settings import read_sim_settings
from tokenforge.runtimes.sim_tokens import chance_of, read_vocabulary, root_of

Sleep = Callable[[float], Awaitable[None]]
_CLOSE_POLL_S = 0.01


@dataclass(slots=True, kw_only=True, eq=False)
class _Sequence:
    """One request in the engine. `out` gets chunks, an error, or None for a stream that just stops."""

    request: GenerateRequest
    root: bytes
    out: "asyncio.Queue[Chunk | TokenForgeError | None]" = field(default_factory=asyncio.Queue)
    made: int = 0
    scheduled_ns: int | None = None
    prefilled: bool = False
    fails_at: int | None = None
    fault: EngineError | None = None

    @property
    def kv_tokens(self) -> int:
        return len(self.request.prompt_ids) + self.made


class SimRuntime:
    """One simulated engine. `clock_ns` is monotonic; `sleep` takes seconds."""

    def __init__(
        self, spec: RuntimeSpec, *, clock_ns: Callable[[], int] = time.monotonic_ns, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._settings = read_sim_settings(spec.engine_args)
        self._clock_ns = clock_ns
        self._sleep = sleep
        self._vocabulary = read_vocabulary(Path(spec.model_path))
        self._info = self._describe(spec)
        self._waiting: deque[_Sequence] = deque()
        self._running: list[_Sequence] = []
        self._work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._dead: str | None = "the simulated engine is not started"
        self._is_closed = False
        self._started = 0
        self._steps = 0
        self._preemptions = 0
        self._step_tokens = 0

    async def start(self) -> RuntimeInfo:
        """Wait `start_ms`, then serve."""
        await self._sleep(self._settings.start_ms / 1e3)
        if self._is_closed:
            raise EngineDead("the simulated engine was closed while it started")
        self._dead = None
        self._tasks = [asyncio.create_task(self._loop())]
        if self._settings.die_after_s > 0:
            self._tasks.append(asyncio.create_task(self._die_in_time()))
        return self._info

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Chunk]:
        """Queue the request and yield one token a chunk."""
        self._check(request)
        sequence = self._enqueue(request)
        try:
            while (item := await sequence.out.get()) is not None:
                if isinstance(item, TokenForgeError):
                    raise item
                yield item
                if item.finish is not None:
                    return
        finally:
            self._drop(sequence)

    async def abort(self, request_id: str) -> None:
        """End the request's stream with finish=abort."""
        for sequence in [*self._running, *self._waiting]:
            if sequence.request.request_id == request_id:
                self._drop(sequence)
                sequence.out.put_nowait(self._chunk(sequence, (), FinishReason.ABORT))

    async def health(self) -> None:
        """Raise EngineDead once the engine has died or was closed."""
        if self._dead is not None:
            raise EngineDead(self._dead)

    def stats(self) -> RuntimeStats:
        """Running, waiting, KV use, preemptions."""
        used = sum(sequence.kv_tokens for sequence in self._running)
        return RuntimeStats(
            running=len(self._running),
            waiting=len(self._waiting),
            kv_usage_ratio=used / self._settings.kv_tokens,
            preemptions_total=self._preemptions,
            steps_total=self._steps,
            step_tokens_total=self._step_tokens,
        )

    async def close(self, grace_s: float) -> None:
        """Let streams end within `grace_s`, then abort them."""
        self._is_closed = True
        deadline = self._clock_ns() + int(grace_s * 1e9)
        while (self._running or self._waiting) and self._clock_ns() < deadline:
            await self._sleep(_CLOSE_POLL_S)
        for sequence in [*self._running, *self._waiting]:
            await self.abort(sequence.request.request_id)
        self._dead = self._dead or "the simulated engine is closed"
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _describe(self, spec: RuntimeSpec) -> RuntimeInfo:
        settings = self._settings
        window = spec.max_model_len or settings.max_model_len or self._vocabulary.window
        return RuntimeInfo(
            runtime="sim",
            engine="sim",
            engine_version=__version__,
            model=spec.served_name,
            max_model_len=min(window, settings.kv_tokens),
            capabilities=Capabilities(seed=True, min_tokens=True, ignore_eos=True),
            kv_tokens=settings.kv_tokens,
            max_num_seqs=settings.max_num_seqs,
            simulated=True,
            details={"note": "simulated: no model computes these tokens"},
        )

    def _check(self, request: GenerateRequest) -> None:
        if self._dead is not None:
            raise EngineDead(self._dead)
        if self._is_closed:
            raise EngineDead("the simulated engine is closing")
        refuse_unfit(request, self._info, vocab_size=self._vocabulary.size)
        if any(s.request.request_id == request.request_id for s in (*self._running, *self._waiting)):
            raise InvalidRequest(f"request id {request.request_id} is in use", field="request_id", hint="use a new one")

    def _enqueue(self, request: GenerateRequest) -> _Sequence:
        self._started += 1
        settings = self._settings
        sequence = _Sequence(request=request, root=root_of(settings.seed, request.prompt_ids))
        chance = chance_of(sequence.root, "fault")
        if chance < settings.error_rate:
            sequence.fails_at = 0
            sequence.fault = EngineError("the simulated engine failed this request as told")
        elif chance < settings.error_rate + settings.truncate_rate:
            sequence.fails_at = request.sampling.max_tokens // 2
        self._waiting.append(sequence)
        self._work.set()
        return sequence

    def _drop(self, sequence: _Sequence) -> None:
        if sequence in self._running:
            self._running.remove(sequence)
        if sequence in self._waiting:
            self._waiting.remove(sequence)

    async def _loop(self) -> None:
        try:
            while self._dead is None:
                if not self._running and not self._waiting:
                    self._work.clear()
                    await self._work.wait()
                await self._sleep(self._admit_and_cost_s())
                if 0 < self._settings.die_after_requests <= self._started:
                    self._die(f"the simulated engine died as told, after {self._started} requests")
                for sequence in list(self._running):
                    self._advance(sequence)
        finally:
            self._die("the simulated engine's loop ended")

    async def _die_in_time(self) -> None:
        await self._sleep(self._settings.die_after_s)
        self._die(f"the simulated engine died as told, after {self._settings.die_after_s:g} s")

    def _admit_and_cost_s(self) -> float:
        """Move waiting sequences into the batch while they fit; return what this step costs in seconds."""
        settings = self._settings
        self._preempt()
        free = settings.kv_tokens - sum(sequence.kv_tokens + 1 for sequence in self._running)
        while self._waiting and len(self._running) < settings.max_num_seqs and self._waiting[0].kv_tokens < free:
            sequence = self._waiting.popleft()
            sequence.scheduled_ns = sequence.scheduled_ns or self._clock_ns()
            free -= sequence.kv_tokens + 1
            self._running.append(sequence)
        prefill = sum(sequence.kv_tokens for sequence in self._running if not sequence.prefilled)
        self._step_tokens += prefill + sum(sequence.prefilled for sequence in self._running)
        for sequence in self._running:
            sequence.prefilled = True
        self._steps += 1
        stall = settings.stall_ms if settings.stall_every and self._steps % settings.stall_every == 0 else 0.0
        decode = settings.step_ms + settings.decode_ms * len(self._running) + stall
        return decode / 1e3 + prefill / settings.prefill_tokens_per_s

    def _preempt(self) -> None:
        """Send the youngest back to the queue (to be prefilled again) until one more token each fits."""
        while len(self._running) > 1 and sum(s.kv_tokens + 1 for s in self._running) > self._settings.kv_tokens:
            sequence = self._running.pop()
            sequence.prefilled = False
            self._preemptions += 1
            self._waiting.appendleft(sequence)

    def _advance(self, sequence: _Sequence) -> None:
        if sequence.made == sequence.fails_at:
            self._drop(sequence)
            sequence.out.put_nowait(sequence.fault)
            return
        sampling = sequence.request.sampling
        token = self._vocabulary.pick(sequence.root, sequence.made, sampling)
        sequence.made += 1
        finish = FinishReason.LENGTH if sequence.made >= sampling.max_tokens else None
        if token == self._vocabulary.eos_id and not sampling.ignore_eos:
            finish = FinishReason.STOP
        if finish is not None:
            self._drop(sequence)
        sequence.out.put_nowait(self._chunk(sequence, (token,), finish))

    def _chunk(self, sequence: _Sequence, ids: tuple[int, ...], finish: FinishReason | None) -> Chunk:
        usage = Usage(
            prompt_tokens=len(sequence.request.prompt_ids),
            completion_tokens=max(0, sequence.made + self._settings.usage_off_by),
        )
        reason = self._vocabulary.eos_id if finish is FinishReason.STOP else None
        return Chunk(
            token_ids=ids,
            finish=finish,
            stop_reason=reason,
            usage=usage,
            made_ns=self._clock_ns(),
            scheduled_ns=sequence.scheduled_ns,
        )

    def _die(self, cause: str) -> None:
        """The first cause counts. Every stream is told."""
        self._dead = self._dead or cause
        for sequence in [*self._running, *self._waiting]:
            sequence.out.put_nowait(EngineDead(self._dead))
        self._running.clear()
        self._waiting.clear()


def _recipe(version: str | None, _: Accelerator) -> Recipe:
    if version not in {None, __version__}:
        hint = "the simulator comes with TokenForge; write `sim`"
        raise InvalidInput([Fault(field="runtime", value=f"sim@{version}", message="can't be had", hint=hint)])
    return Recipe(version=__version__)


PLUG = RuntimePlug(
    name="sim",
    summary="Simulated engine for tests; computes nothing",
    recipe=_recipe,
    build=SimRuntime,
    quants=dict.fromkeys(Accelerator, frozenset(Quant)),
    check=read_sim_settings,
)
