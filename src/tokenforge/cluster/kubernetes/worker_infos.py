"""What engines in ready pods say of themselves: asked once for each life of a worker, beside whoever wants to know."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field

import aiohttp

from tokenforge.domain.errors import InvalidInput, TargetUnreachable
from tokenforge.domain.generation import RuntimeInfo
from tokenforge.protocol.worker_spec import runtime_info_from_plain

Ask = Callable[[str], Awaitable[RuntimeInfo]]
"""What the engine behind that URL says. Raises TargetUnreachable."""

_LIMIT_S = 3.0
_AGAIN_S = 1.0


@dataclass(slots=True, kw_only=True)
class WorkerInfos:
    """`on_news` is called when an answer came."""

    ask: Ask
    on_news: Callable[[], None]
    _known: dict[str, RuntimeInfo] = field(default_factory=dict)
    _asking: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def of(self, life: str) -> RuntimeInfo | None:
        """What it said, None while it has not."""
        return self._known.get(life)

    def want(self, urls: Mapping[str, str]) -> None:
        """From now on know these, by their lives, and no others."""
        self._forget(urls.keys())
        for life, url in urls.items():
            if life not in self._known and life not in self._asking:
                self._asking[life] = asyncio.create_task(self._until_known(life, url))

    def close(self) -> None:
        """Ask no more."""
        self._forget(())

    def _forget(self, kept: Collection[str]) -> None:
        for life in [life for life in self._asking if life not in kept]:
            self._asking.pop(life).cancel()
        for life in [life for life in self._known if life not in kept]:
            del self._known[life]

    async def _until_known(self, life: str, url: str) -> None:
        while True:
            try:
                self._known[life] = await self.ask(url)
                break
            except TargetUnreachable:
                await asyncio.sleep(_AGAIN_S)
        self._asking.pop(life, None)
        self.on_news()


async def ask_worker(url: str) -> RuntimeInfo:
    """GET /worker/info. Raises TargetUnreachable, also for a worker whose engine has not told anything yet."""
    limit = aiohttp.ClientTimeout(total=_LIMIT_S)
    try:
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(f"{url}/worker/info") as answer:
            body = await answer.json(content_type=None)
        return runtime_info_from_plain(body["runtime"])
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError, InvalidInput) as error:
        raise TargetUnreachable(f"{url}/worker/info: {' '.join(str(error).split()) or type(error).__name__}") from error
