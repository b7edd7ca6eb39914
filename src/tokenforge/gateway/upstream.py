"""The way to a worker: pooled keep-alive connections of our own, bytes in, bytes out.

A transport that fails is UpstreamFailed, whatever its cause. Closing an answer early closes its connection, so that
the worker sees its client gone and frees the engine's slot. A kept connection that its worker had closed in that very
moment is no failure: the request goes out once more on another.
"""

import asyncio
import socket
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tokenforge.gateway.upstream_answer import UpstreamAnswer, UpstreamFailed
from tokenforge.gateway.upstream_connection import UpstreamConnection

CONNECT_LIMIT_S = 2.0
IDLE_S = 30.0
_MOST_ORIGINS = 1024
_DEAD_PEER_S = 30


@dataclass(slots=True, kw_only=True)
class _Origin:
    """A worker's address and the connections to it that nobody uses now, the latest used last."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    prefix: bytes
    authority: bytes
    idle: list[UpstreamConnection] = field(default_factory=list)
    first: dict[str, bytes] = field(default_factory=dict)

    def first_lines(self, path: str, method: bytes) -> bytes:
        """How a request for one of the few paths begins; each is asked with one method."""
        if path not in self.first:
            self.first[path] = b"%b %b%b HTTP/1.1\r\nhost: %b\r\n" % (
                method,
                self.prefix,
                path.encode("ascii"),
                self.authority,
            )
        return self.first[path]


class Upstream:
    """One pool for all workers, within one event loop; `close` it at the end."""

    def __init__(self) -> None:
        self._origins: dict[str, _Origin] = {}

    def ask_now(self, url: str, path: str, *, body: bytes, headers: bytes) -> UpstreamAnswer | None:
        """Like `ask`, on a connection that is open already and without any wait; None when there is none."""
        origin = self._origins.get(url)
        if origin is None or not origin.idle or (connection := self._idle(origin)) is None:
            return None
        first = origin.first.get(path) or origin.first_lines(path, b"POST")
        return connection.ask(b"%b%bcontent-length: %d\r\n\r\n" % (first, headers, len(body)), body)

    async def ask(self, url: str, path: str, *, body: bytes, headers: bytes, method: bytes = b"POST") -> UpstreamAnswer:
        """Send a request; `headers` are whole lines. The answer's head is there on return. Raises UpstreamFailed."""
        origin = self._origins.get(url) or self._open_origin(url)
        head = b"%b%bcontent-length: %d\r\n\r\n" % (origin.first_lines(path, method), headers, len(body))
        while True:
            connection = self._idle(origin) or await self._connect(origin)
            answer = connection.ask(head, body)
            try:
                await answer.head()
            except UpstreamFailed:
                answer.close()
                if answer.is_unheard:
                    continue
                raise
            except BaseException:
                answer.close()
                raise
            return answer

    async def close(self) -> None:
        """Close every connection that is not in use."""
        for origin in self._origins.values():
            for connection in tuple(origin.idle):
                connection.close()
            origin.idle.clear()

    def _idle(self, origin: _Origin) -> UpstreamConnection | None:
        while origin.idle:
            connection = origin.idle.pop()
            if not connection.is_closed and connection.loop.time() - connection.idle_since_s < IDLE_S:
                return connection
            connection.close()
        return None

    async def _connect(self, origin: _Origin) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                transport, connection = await loop.create_connection(
                    lambda: UpstreamConnection(loop), origin.host, origin.port, ssl=origin.tls
                )
        except (OSError, TimeoutError) as error:
            words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise UpstreamFailed(f"the worker cannot be reached: {words}") from error
        _notice_dead_peers(transport.get_extra_info("socket"))
        connection.pool = origin.idle
        return connection

    def _open_origin(self, url: str) -> _Origin:
        if len(self._origins) >= _MOST_ORIGINS:
            self._origins = {known: origin for known, origin in self._origins.items() if origin.idle}
        parts = urlsplit(url)
        is_tls = parts.scheme == "https"
        origin = _Origin(
            host=parts.hostname or "",
            port=parts.port or (443 if is_tls else 80),
            tls=ssl.create_default_context() if is_tls else None,
            prefix=parts.path.rstrip("/").encode("ascii"),
            authority=parts.netloc.rpartition("@")[2].encode("ascii"),
        )
        self._origins[url] = origin
        return origin


def _notice_dead_peers(sock: socket.socket) -> None:
    """Let the kernel ask a silent peer whether it lives: a machine that is gone says nothing by itself."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
        sock.setsockopt(socket.IPPROTO_TCP, option, _DEAD_PEER_S // 3)
