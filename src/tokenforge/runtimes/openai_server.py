"""The server behind the `openai` runtime: connections to it, whether it lives, which models, whose it is.

Its own words are used where it tells who it is (our worker, vLLM's /version), so that a simulator behind a URL still
says that it is one.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tokenforge.domain.errors import EngineDead, EngineError, RuntimeFault
from tokenforge.runtimes.base import ForwardedAnswer
from tokenforge.runtimes.openai_answer import fault_of

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

ANSWER_LIMIT_S = 10.0
SILENCE_LIMIT_S = 600.0
_NO_SUCH_PATH = {401, 403, 404, 405, 501}


class Server:
    """One server. `base` ends in a slash. Made inside a running event loop."""

    def __init__(self, base: str, *, api_key: str | None) -> None:
        import aiohttp

        self.base = base
        self._key = api_key
        self._broken = (aiohttp.ClientError, OSError)
        self._session: ClientSession = aiohttp.ClientSession(
            base_url=base,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_LIMIT_S, sock_read=SILENCE_LIMIT_S),
        )

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._session.closed

    @asynccontextmanager
    async def post(self, path: str, body: Mapping[str, object]) -> AsyncGenerator["ClientResponse", None]:
        """A streamed answer. Raises the error of its status, EngineDead for a lost connection, EngineError for silence.

        Leaving before its end closes the connection, which is how such servers are told to stop.
        """
        try:
            async with self._session.post(path, json=body) as response:
                if response.status >= 400:
                    raise await self._fault(response)
                yield response
        except TimeoutError as error:
            raise EngineError(f"the server was silent for {SILENCE_LIMIT_S:.0f} s") from error
        except self._broken as error:
            raise EngineDead(f"the connection to the server was lost: {type(error).__name__}") from error
        except ValueError as error:
            raise EngineError(f"the server's answer cannot be read: {error}") from error

    @asynccontextmanager
    async def forward(self, path: str, body: Mapping[str, object]) -> AsyncGenerator[ForwardedAnswer, None]:
        """Whatever it answers, its refusals too. Raises EngineDead for a lost connection, EngineError for silence."""
        try:
            async with self._session.post(path, json=body) as response:
                yield ForwardedAnswer(
                    status=response.status,
                    content_type=response.headers.get("content-type", "application/json"),
                    retry_after=response.headers.get("retry-after", ""),
                    chunks=self._without_key(response),
                )
        except TimeoutError as error:
            raise EngineError(f"the server was silent for {SILENCE_LIMIT_S:.0f} s") from error
        except self._broken as error:
            raise EngineDead(f"the connection to the server was lost: {type(error).__name__}") from error

    async def _without_key(self, response: "ClientResponse") -> AsyncIterator[bytes]:
        """Its bytes as they come; a refusal, which may repeat the key, as a whole."""
        if response.status >= 400 and self._key:
            yield (await response.read()).replace(self._key.encode(), b"(key)")
            return
        async for chunk in response.content.iter_any():
            yield chunk

    async def models(self) -> Mapping[str, Mapping[str, object]] | None:
        """What it lists, by id; None when it does not answer. Raises the error of a refused key."""
        status, answer = await self._get("v1/models")
        if status in {401, 403}:
            raise EngineError(str(fault_of(status, "")))
        listed = answer.get("data")
        if status != 200 or not isinstance(listed, list):
            return None
        return {str(m["id"]): m for m in listed if isinstance(m, dict) and "id" in m}

    async def require_alive(self) -> None:
        """Ask /health, or the list of models where there is none. Raises EngineDead."""
        status, _ = await self._get("health")
        if status == 200:
            return
        if status not in _NO_SUCH_PATH:
            raise EngineDead("the server does not answer GET /health" + (f" well: HTTP {status}" if status else ""))
        if await self.models() is None:
            raise EngineDead("the server does not answer GET /v1/models")

    async def identity(self, model: Mapping[str, object]) -> Mapping[str, object]:
        """Who serves: our worker's RuntimeInfo, or `engine` and `engine_version` as far as they are told."""
        _, own = await self._get("worker/info")
        info = own.get("runtime")
        if isinstance(info, dict) and "engine_version" in info:
            return info
        owner = model.get("owned_by")
        _, told = await self._get("version")
        version = told.get("version")
        return {
            "engine": owner if isinstance(owner, str) and owner else "openai-compatible server",
            "engine_version": version if isinstance(version, str) else "unknown",
        }

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        await self._session.close()

    async def _get(self, path: str) -> tuple[int, Mapping[str, object]]:
        """Status and JSON object; 0 when nothing answers, an empty object when it is none."""
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S), self._session.get(path) as response:
                answer = await response.json(content_type=None) if response.status == 200 else None
                return response.status, answer if isinstance(answer, dict) else {}
        except ValueError:
            return 200, {}
        except self._broken:
            return 0, {}

    async def _fault(self, response: "ClientResponse") -> RuntimeFault:
        words = await response.text(errors="replace")
        if self._key:
            words = words.replace(self._key, "(key)")
        return fault_of(response.status, words, retry_after=response.headers.get("retry-after", ""))
