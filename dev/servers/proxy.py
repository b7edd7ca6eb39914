"""A small proxy between the platform and a server, to make that server slow or gone."""

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field

from servers.ports import LOCALHOST

_PIECE_BYTES = 1 << 16


@dataclass(slots=True)
class Proxy:
    """Passes on what comes to `port` to `to`. `delay_s` is added to every piece; refusing ends what is open."""

    to: int
    delay_s: float = 0.0
    _listener: socket.socket = field(init=False)
    _open: list[socket.socket] = field(default_factory=list, init=False)
    _is_refusing: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Listen."""
        self._listener = socket.create_server((LOCALHOST, 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def refuse(self) -> None:
        """End every connection, and each new one at once."""
        self._is_refusing = True
        self._drop()

    def serve(self) -> None:
        """Pass on again."""
        self._is_refusing = False

    def close(self) -> None:
        """End it."""
        self._is_refusing = True
        self._listener.close()
        self._drop()

    def _drop(self) -> None:
        while self._open:
            one = self._open.pop()
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._is_refusing:
                near.close()
                continue
            try:
                far = socket.create_connection((LOCALHOST, self.to), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE_BYTES):
                time.sleep(self.delay_s)
                sink.sendall(piece)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
