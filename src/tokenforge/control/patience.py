"""Waiting for a database or an artifact store that does not answer now: with limits, and told once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tokenforge.domain.errors import StoreUnavailable

_log = logging.getLogger(__name__)
T = TypeVar("T")

LIMIT_S = 600.0
_FIRST_S, _MOST_S = 0.2, 5.0


async def patiently(work: Callable[[], Awaitable[T]], *, what: str, limit_s: float = LIMIT_S) -> T:
    """Do the work, again and again while a store is not to be had. Raises StoreUnavailable after `limit_s`."""
    loop = asyncio.get_running_loop()
    end_s, wait_s = loop.time() + limit_s, _FIRST_S
    is_told = False
    while True:
        try:
            return await work()
        except StoreUnavailable as error:
            if loop.time() + wait_s > end_s:
                raise
            if not is_told:
                _log.warning("%s waits: %s", what, error)
            is_told = True
        await asyncio.sleep(wait_s)
        wait_s = min(_MOST_S, wait_s * 2)
