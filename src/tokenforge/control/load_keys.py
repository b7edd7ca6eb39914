"""The keys of benchmarks: each has one of its own to offer its load with, from its start to its end."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from tokenforge.domain.api_key import INFER, OWN
from tokenforge.domain.errors import NotFound
from tokenforge.protocol.keys import RANDOM_BYTES, KeyBody, mint
from tokenforge.store.base import Keys


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadKeys:
    """`random` gives so many bytes of chance; `now` is RFC 3339."""

    keys: Keys
    random: Callable[[int], bytes]
    now: Callable[[], str]

    async def make(self, benchmark: str) -> str:
        """A new key that may infer; one of the same benchmark that was left behind ends."""
        await self.end(benchmark)
        made, token = mint(KeyBody(name="load", scopes=[INFER]), random=self.random(RANDOM_BYTES), now=self.now())
        await self.keys.add(replace(made, name=OWN + benchmark))
        return token

    async def left(self) -> tuple[str, ...]:
        """The benchmarks that have one."""
        return tuple(key.name.removeprefix(OWN) for key in await self.keys.list() if key.name.startswith(OWN))

    async def end(self, benchmark: str) -> None:
        """From now on it is refused. None is no error."""
        with contextlib.suppress(NotFound):
            await self.keys.revoke(OWN + benchmark)
