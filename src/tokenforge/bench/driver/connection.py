"""Connections of one driver process: non-blocking sockets in epoll, and the pool that keeps them alive.

The pool has no limit but the process's file descriptors: a load generator that queues inside itself measures itself.
The last used connection is used next, so the number of connections follows the load.
"""

import errno
import os
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack

from tokenforge.bench.driver.clock import ask_for_kernel_stamps
from tokenforge.bench.driver.exchange import Exchange

_READ = select.EPOLLIN
_READ_WRITE = select.EPOLLIN | select.EPOLLOUT
_PLAIN_BYTES = 65_536


class Connection:
    """One socket. `exchange` is what it carries now; `has_rested`: it idled before, so the peer may be gone."""

    __slots__ = ("_epoll", "_out", "_wants_write", "exchange", "fd", "has_rested", "id", "is_tls", "receive", "sock")

    def __init__(self, sock: socket.socket, *, number: int, epoll: select.epoll) -> None:
        self.sock = sock
        self.receive = sock.recvmsg
        self.fd = sock.fileno()
        self.id = number
        self.is_tls = False
        self.exchange: Exchange | None = None
        self.has_rested = False
        self._epoll = epoll
        self._out: memoryview = memoryview(b"")
        self._wants_write = True
        epoll.register(self.fd, _READ_WRITE)

    def write(self, data: memoryview) -> bool:
        """Send `data` as far as the kernel takes it, the rest when it can; True when any byte left. Raises OSError."""
        self._out = data
        return self.flush()

    def flush(self) -> bool:
        """Send what waits; True when any byte left. Raises OSError when the connection failed."""
        if not self._out:
            self._want_write(False)
            return False
        try:
            sent = self.sock.send(self._out)
        except BlockingIOError:
            sent = 0
        self._out = self._out[sent:]
        self._want_write(bool(self._out))
        return sent > 0

    def decrypt(self, data: bytes) -> bytes:
        """Plain bytes of what was read; TLS connections override it."""
        return data

    def close(self) -> None:
        """Close the socket; epoll forgets it by itself."""
        self.sock.close()

    def _want_write(self, wanted: bool) -> None:
        if wanted != self._wants_write:
            self._wants_write = wanted
            self._epoll.modify(self.fd, _READ_WRITE if wanted else _READ)


class TlsConnection(Connection):
    """The same over TLS, with the records made and opened in memory, so the loop stays one."""

    __slots__ = ("_from_peer", "_plain_out", "_ready", "_tls", "_to_peer")

    def __init__(
        self, sock: socket.socket, *, number: int, epoll: select.epoll, context: ssl.SSLContext, host: str
    ) -> None:
        super().__init__(sock, number=number, epoll=epoll)
        self.is_tls = True
        self._from_peer, self._to_peer = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._from_peer, self._to_peer, server_hostname=host)
        self._plain_out: memoryview | None = None
        self._ready = False
        self._handshake()

    def write(self, data: memoryview) -> bool:
        """As `Connection.write`; before the handshake is done the request waits and False comes back."""
        self._plain_out = data
        return self.flush()

    def flush(self) -> bool:
        """Encrypt and send what waits; True when bytes of the request left."""
        had_request = self._ready and self._plain_out is not None
        if had_request and self._plain_out is not None:
            self._tls.write(self._plain_out)
            self._plain_out = None
        fresh = self._to_peer.read()
        if fresh:
            self._out = memoryview(bytes(self._out) + fresh)
        return super().flush() and had_request

    def decrypt(self, data: bytes) -> bytes:
        """Plain bytes that `data` completed; drives the handshake. Raises ssl.SSLError (an OSError)."""
        self._from_peer.write(data)
        if not self._ready:
            self._handshake()
            if not self._ready:
                return b""
        parts = []
        try:
            while part := self._tls.read(_PLAIN_BYTES):
                parts.append(part)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return b"".join(parts)

    def _handshake(self) -> None:
        try:
            self._tls.do_handshake()
            self._ready = True
        except ssl.SSLWantReadError:
            pass


class Connector:
    """Opens connections to one address, resolved once, so no name lookup falls into the measurement.

    `numbers` gives each connection its id, unique over the driver processes of a trial.
    """

    def __init__(self, *, host: str, port: int, tls: bool, epoll: select.epoll, numbers: Iterator[int]) -> None:
        self._host = host
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        self._family = found[0][0]
        self._address = found[0][4]
        self._context = ssl.create_default_context() if tls else None
        self._epoll = epoll
        self._numbers = numbers

    def open(self) -> Connection:
        """Start a connection; it may be written to at once. Raises OSError (refused, no descriptors left)."""
        with ExitStack() as on_failure:
            sock = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            on_failure.callback(sock.close)
            connection = self._begin(sock)
            on_failure.pop_all()
        return connection

    def _begin(self, sock: socket.socket) -> Connection:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ask_for_kernel_stamps(sock)
        code = sock.connect_ex(self._address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))
        number = next(self._numbers)
        if self._context is None:
            return Connection(sock, number=number, epoll=self._epoll)
        return TlsConnection(sock, number=number, epoll=self._epoll, context=self._context, host=self._host)
