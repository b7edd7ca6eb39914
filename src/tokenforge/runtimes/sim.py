"""The simulator: an engine without a model, for tests and for trying a deployment. Never a measurement: it says `sim`.

It batches, queues, preempts and fails as told. Tokens depend on (seed, prompt, position) alone, so greedy repeats and a
batch equals a solo run. Clock and sleep are arguments: in virtual time an hour passes in a second.
"""

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from tokenforge import __version__
from tokenforge.domain.deployment import RuntimeSpec
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
from tokenforge.models.tokenizers import TOKENIZER_FILE, load_tokenizer
from tokenforge.runtimes.base import Recipe, RuntimePlug
from tokenforge.runtimes.sim_settings import SimSettings, read_sim_settings

Sleep = Callable[[float], Awaitable[None]]
_NO_MODEL_VOCAB = 2_048
_EOS_ONE_IN = 64


@dataclass(slots=True, kw_only=True)
class _Sequence:
    request: GenerateRequest
    out: "asyncio.Queue[Chunk | TokenForgeError]" = field(default_factory=asyncio.Queue)
    made: int = 0
    prefilled: bool = False
    fails_at: int | None = None

    @property
    def kv_tokens(self) -> int:
        return len(self.request.prompt_ids) + self.made


class SimRuntime:
    """One simulated engine. `clock_ns` is monotonic; `sleep` takes seconds."""

    def __init__(
        self, spec: RuntimeSpec, *, clock_ns: Callable[[], int] = time.monotonic_ns, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._spec = spec
        self._settings = read_sim_settings(spec.engine_args)
        self._clock_ns = clock_ns
        self._sleep = sleep
        self._ids, self._eos = _vocabulary(Path(spec.model_path))
        self._waiting: deque[_Sequence] = deque()
        self._running: list[_Sequence] = []
        self._work = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._dead: str | None = None
        self._started = 0
        self._steps = 0
        self._preemptions = 0

    async def start(self) -> RuntimeInfo:
        """Wait `start_ms`, then serve."""
        await self._sleep(self._settings.start_ms / 1e3)
        self._loop_task = asyncio.create_task(self._loop())
        return RuntimeInfo(
            runtime="sim",
            engine="sim",
            engine_version=__version__,
            model=self._spec.served_name,
            max_model_len=self._window,
            capabilities=Capabilities(seed=True, min_tokens=True, ignore_eos=True),
            kv_tokens=self._settings.kv_tokens,
            max_num_seqs=self._settings.max_num_seqs,
            simulated=True,
            details={"note": "simulated: no model computes these tokens"},
        )

    async def generate(self, request: GenerateRequest) -> AsyncIterator[Chunk]:
        """Queue the request and yield one token a chunk."""
        self._check(request)
        sequence = self._enqueue(request)
        try:
            while True:
                item = await sequence.out.get()
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
        if self._loop_task is None or self._loop_task.done():
            raise EngineDead("the simulated engine does not run")

    def stats(self) -> RuntimeStats:
        """Running, waiting, KV use, preemptions."""
        used = sum(sequence.kv_tokens for sequence in self._running)
        return RuntimeStats(
            running=len(self._running),
            waiting=len(self._waiting),
            kv_usage_ratio=used / self._settings.kv_tokens,
            preemptions_total=self._preemptions,
        )

    async def close(self, grace_s: float) -> None:
        """Let streams end within `grace_s`, then abort them."""
        deadline = self._clock_ns() + int(grace_s * 1e9)
        while (self._running or self._waiting) and self._dead is None and self._clock_ns() < deadline:
            await self._sleep(0.01)
        for sequence in [*self._running, *self._waiting]:
            await self.abort(sequence.request.request_id)
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)

    @property
    def _window(self) -> int:
        return self._spec.max_model_len or self._settings.max_model_len

    def _check(self, request: GenerateRequest) -> None:
        if self._dead is not None:
            raise EngineDead(self._dead)
        if self._loop_task is None or self._loop_task.done():
            raise EngineDead("the simulated engine does not run")
        length = len(request.prompt_ids)
        if length == 0:
            raise InvalidRequest("The prompt is empty", field="prompt", hint="Send at least one token")
        if length + request.sampling.max_tokens > self._window:
            what = f"{length} prompt tokens and {request.sampling.max_tokens} to generate exceed {self._window}"
            raise InvalidRequest(what, field="max_tokens", hint="Shorten the prompt or max_tokens")
        if request.sampling.logprobs is not None:
            raise InvalidRequest("The simulator has no logprobs", field="logprobs", hint="Leave logprobs out")

    def _enqueue(self, request: GenerateRequest) -> _Sequence:
        self._started += 1
        sequence = _Sequence(request=request)
        chance = _unit(self._settings.seed, request.prompt_ids, "fault")
        if chance < self._settings.error_rate:
            sequence.fails_at = 0
        elif chance < self._settings.error_rate + self._settings.truncate_rate:
            sequence.fails_at = max(1, request.sampling.max_tokens // 2)
        self._waiting.append(sequence)
        self._work.set()
        return sequence

    def _drop(self, sequence: _Sequence) -> None:
        if sequence in self._running:
            self._running.remove(sequence)
        if sequence in self._waiting:
            self._waiting.remove(sequence)

    async def _loop(self) -> None:
        while True:
            if not self._running and not self._waiting:
                self._work.clear()
                await self._work.wait()
            await self._sleep(self._admit_and_cost_s())
            if 0 < self._settings.die_after_requests <= self._started:
                self._die(f"the simulated engine died as told, after {self._started} requests")
                return
            for sequence in list(self._running):
                self._advance(sequence)

    def _admit_and_cost_s(self) -> float:
        """Move waiting sequences into the batch while they fit; return what this step costs in seconds."""
        settings = self._settings
        self._preempt()
        free = settings.kv_tokens - sum(sequence.kv_tokens + 1 for sequence in self._running)
        while self._waiting and len(self._running) < settings.max_num_seqs and self._waiting[0].kv_tokens < free:
            sequence = self._waiting.popleft()
            free -= sequence.kv_tokens + 1
            self._running.append(sequence)
        prefill = sum(sequence.kv_tokens for sequence in self._running if not sequence.prefilled)
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
        if sequence.fails_at is not None and sequence.made >= sequence.fails_at:
            self._drop(sequence)
            sequence.out.put_nowait(EngineError("the simulated engine failed this request as told"))
            return
        token = self._token(sequence)
        sequence.made += 1
        finish = self._finish(sequence, token)
        if finish is not None:
            self._drop(sequence)
        ids = () if finish is FinishReason.STOP else (token,)
        sequence.out.put_nowait(self._chunk(sequence, ids, finish))

    def _token(self, sequence: _Sequence) -> int:
        sampling = sequence.request.sampling
        salt = 0 if sampling.temperature == 0 else sampling.seed
        chance = _unit(self._settings.seed, sequence.request.prompt_ids, f"{sequence.made}/{salt}")
        may_stop = self._eos is not None and not sampling.ignore_eos and sequence.made >= sampling.min_tokens
        if may_stop and self._eos is not None and chance < 1 / _EOS_ONE_IN:
            return self._eos
        return self._ids[int(chance * len(self._ids))]

    def _finish(self, sequence: _Sequence, token: int) -> FinishReason | None:
        if token == self._eos and not sequence.request.sampling.ignore_eos:
            return FinishReason.STOP
        return FinishReason.LENGTH if sequence.made >= sequence.request.sampling.max_tokens else None

    def _chunk(self, sequence: _Sequence, ids: tuple[int, ...], finish: FinishReason | None) -> Chunk:
        usage = Usage(
            prompt_tokens=len(sequence.request.prompt_ids),
            completion_tokens=max(0, sequence.made + self._settings.usage_off_by),
        )
        reason = self._eos if finish is FinishReason.STOP else None
        return Chunk(token_ids=ids, finish=finish, stop_reason=reason, usage=usage, made_ns=self._clock_ns())

    def _die(self, cause: str) -> None:
        self._dead = cause
        for sequence in [*self._running, *self._waiting]:
            sequence.out.put_nowait(EngineDead(cause))
        self._running.clear()
        self._waiting.clear()


def _unit(seed: int, prompt: tuple[int, ...], purpose: str) -> float:
    """A number in [0, 1) that depends on its arguments alone."""
    digest = hashlib.blake2b(f"{seed}|{prompt}|{purpose}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2.0**56


def _vocabulary(folder: Path) -> tuple[tuple[int, ...], int | None]:
    """Ids the model's tokenizer can show, and its end token; plain numbers where there is no model."""
    if not (folder / TOKENIZER_FILE).is_file():
        return tuple(range(1, _NO_MODEL_VOCAB)), 0
    tokenizer = load_tokenizer(folder)
    return tokenizer.plain_ids, min(tokenizer.eos_ids, default=None)


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
)
__all__ = ["PLUG", "SimRuntime", "SimSettings"]
