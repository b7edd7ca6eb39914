"""The requests that a runtime has open: which, how many, and a wait for their end. One event loop, no locks."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tokenforge.domain.errors import EngineDead, InvalidRequest


class OpenStreams:
    """Each id is held from its first step to its last; a second use of an open id is refused."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._is_closed = False
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, request_id: object) -> bool:
        return request_id in self._ids

    def ids(self) -> tuple[str, ...]:
        """The open ids."""
        return tuple(self._ids)

    @contextmanager
    def hold(self, request_id: str) -> Iterator[None]:
        """Hold an id open. Raises InvalidRequest for one that is open, EngineDead once no more are taken."""
        if self._is_closed:
            raise EngineDead("the engine is closing")
        if request_id in self._ids:
            raise InvalidRequest(f"request id {request_id} is in use", field="request_id", hint="use a new one")
        self._ids.add(request_id)
        self._empty.clear()
        try:
            yield
        finally:
            self._ids.discard(request_id)
            if not self._ids:
                self._empty.set()

    def refuse_more(self) -> None:
        """Take no new ids from now on."""
        self._is_closed = True

    async def ended(self, *, timeout_s: float) -> bool:
        """Wait until none is open, at most `timeout_s`; whether it came to that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        return not self._ids
