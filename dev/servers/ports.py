"""Free ports, and waiting for one to be served."""

import contextlib
import socket
import time
from collections.abc import Callable

LOCALHOST = "127.0.0.1"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        return int(probe.getsockname()[1])


def until(is_up: Callable[[], bool], *, limit_s: float, what: str) -> None:
    """Wait until `is_up`. Raises TimeoutError."""
    end_s = time.monotonic() + limit_s
    while not is_up():
        if time.monotonic() > end_s:
            raise TimeoutError(f"{what} is not up after {limit_s:g} s")
        time.sleep(0.02)


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with contextlib.suppress(OSError), socket.create_connection((LOCALHOST, port), timeout=0.5):
        return True
    return False
