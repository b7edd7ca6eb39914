"""What the simulator's tests share: virtual time, a started engine in it, and one question asked of it."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable
from typing import TypeVar

from tokenforge.domain.generation import Chunk, GenerateRequest, Sampling
from tokenforge.domain.worker import RuntimeSpec
from tokenforge.runtimes.sim import SimRuntime

T = TypeVar("T")
_TURNS = 12
_serial = itertools.count()


class VirtualTime:
    """A clock that stands still while anything can run and jumps to the next sleeper when nothing can."""

    def __init__(self) -> None:
        self._now_ns = 0
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def clock_ns(self) -> int:
        """Nanoseconds since the test began."""
        return self._now_ns

    @property
    def now_s(self) -> float:
        """The same in seconds."""
        return self._now_ns / 1e9

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_ns + round(seconds * 1e9), next(_serial), woken))
        await woken

    async def run(self, work: Awaitable[T], *, limit_s: float = 36_000.0) -> T:
        """Let time pass until `work` is done. Raises TimeoutError when it would take more than `limit_s`."""
        task = asyncio.ensure_future(work)
        while not task.done():
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            if task.done():
                break
            if not self._sleepers or self.now_s > limit_s:
                task.cancel()
                raise TimeoutError(f"nothing more happens after {self.now_s} s of virtual time")
            self._now_ns, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
        return task.result()


class Rig:
    """A simulator in virtual time, with no model."""

    def __init__(self, **engine_args: object) -> None:
        self.time = VirtualTime()
        spec = RuntimeSpec(runtime="sim", model_path="/none", served_name="m", engine_args=engine_args)
        self.runtime = SimRuntime(spec, clock_ns=self.time.clock_ns, sleep=self.time.sleep)

    async def start(self) -> "Rig":
        """Start it and give it back."""
        await self.time.run(self.runtime.start())
        return self

    async def ask(self, request: GenerateRequest) -> list[Chunk]:
        """All chunks of one request, with time passing."""
        return await self.time.run(self.read(request))

    async def read(self, request: GenerateRequest) -> list[Chunk]:
        """All chunks; whoever awaits this lets time pass."""
        return [chunk async for chunk in self.runtime.generate(request)]

    async def ask_all(self, requests: list[GenerateRequest]) -> list[list[Chunk]]:
        """All of them at once."""
        return await self.time.run(asyncio.gather(*(self.read(request) for request in requests)))


async def started(**engine_args: object) -> Rig:
    """A started rig."""
    return await Rig(**engine_args).start()


def request(*prompt_ids: int, max_tokens: int = 8, ignore_eos: bool = True, **sampling: object) -> GenerateRequest:
    """A greedy request of exact length unless told otherwise."""
    chosen: dict[str, object] = {"temperature": 0.0, **sampling}
    options = Sampling(max_tokens=max_tokens, ignore_eos=ignore_eos, **chosen)  # type: ignore[arg-type]
    return GenerateRequest(request_id=f"r{next(_serial)}", prompt_ids=prompt_ids or (1, 2, 3), sampling=options)


def ids_of(chunks: list[Chunk]) -> list[int]:
    """The generated ids."""
    return [token for chunk in chunks for token in chunk.token_ids]
