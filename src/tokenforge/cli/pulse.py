"""Whether the gateway still answers: a process can live and serve nobody, and then only another one helps.

It is asked from a thread, so that nothing else waits for the answer. What counts is how often in a row it gave none
within its time, not how long ago the last one was: a machine that slept has missed none. One that has not answered yet
is still coming up, however long a busy machine takes for that.
"""

import contextlib
import socket
import threading
import time

ASK_LIMIT_S = 5.0
EVERY_S = 5.0
MOST_MISSES = 6
"""So many in a row: at most a minute without any answer."""

_REQUEST = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


class Pulse:
    """The pulse of whoever listens at `address`."""

    def __init__(self, address: tuple[str, int], *, ask_limit_s: float = ASK_LIMIT_S, every_s: float = EVERY_S) -> None:
        self._address = address
        self._ask_limit_s = ask_limit_s
        self._every_s = every_s
        self._misses = 0
        self._has_answered = False

    @property
    def is_lost(self) -> bool:
        """Whether it answered once and has not done so too often in a row."""
        return self._has_answered and self._misses >= MOST_MISSES

    def begin(self) -> None:
        """Feel it from now on, as long as this process lives."""
        threading.Thread(target=self._feel, name="pulse", daemon=True).start()

    def begin_anew(self) -> None:
        """Another process listens there now."""
        self._misses = 0
        self._has_answered = False

    def ask(self) -> None:
        """Ask once. Any answer is one: who refuses for load is alive."""
        is_there = False
        with contextlib.suppress(OSError), socket.create_connection(self._address, self._ask_limit_s) as client:
            client.sendall(_REQUEST)
            is_there = client.recv(5) == b"HTTP/"
        self._misses = 0 if is_there else self._misses + 1
        self._has_answered = self._has_answered or is_there

    def _feel(self) -> None:
        while True:
            self.ask()
            time.sleep(self._every_s)
