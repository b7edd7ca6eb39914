"""The way to a worker: pooled connections, bytes in, bytes out. The part that a thinner client may replace.

A transport that fails is UpstreamFailed, whatever its library calls it. Closing an answer early closes its connection,
so that the worker sees its client gone and frees the engine's slot.
"""

import io
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tokenforge.domain.errors import EngineError

CONNECT_LIMIT_S = 2.0
SILENCE_LIMIT_S = 660.0
MAX_WHOLE_BYTES = 256 << 20
_LARGE_BYTES = 1 << 20
"""Above this a body is sent in parts, so that the loop stays free."""


class UpstreamFailed(EngineError):
    """The worker could not be reached, or its answer broke off."""

    code = "upstream_failed"


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """A worker's answer: its head is here, its body comes."""

    _response: aiohttp.ClientResponse

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    def header(self, name: str) -> str:
        """A header, empty when it is not there."""
        return self._response.headers.get(name, "")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises UpstreamFailed when it breaks off."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UpstreamFailed(f"the worker's answer broke off: {_words(error)}") from error

    async def whole(self) -> bytes:
        """The whole body. Raises UpstreamFailed."""
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            parts.append(chunk)
            size += len(chunk)
            if size > MAX_WHOLE_BYTES:
                raise UpstreamFailed(f"the worker's answer has more than {MAX_WHOLE_BYTES} bytes")
        return b"".join(parts)


class Upstream:
    """One pool for all workers. Use within an event loop; `close` at the end."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def ask(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> AsyncGenerator[UpstreamAnswer, None]:
        """Send the request; the answer's head is there on entry. Raises UpstreamFailed when none came."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_LIMIT_S, sock_read=SILENCE_LIMIT_S),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        try:
            data = body if len(body) < _LARGE_BYTES else io.BytesIO(body)
            response = await self._session.post(url, data=data, headers=headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UpstreamFailed(f"the worker cannot be reached: {_words(error)}") from error
        is_whole = False
        try:
            yield UpstreamAnswer(response)
            is_whole = response.content.at_eof()
        finally:
            if is_whole:
                response.release()
            else:
                response.close()

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
