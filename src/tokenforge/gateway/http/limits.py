"""How much of anything a client may have. Every buffer and every wait of the server has its bound here."""

import resource
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes, seconds and numbers for one connection, and for all of them."""

    target_bytes: int = 8 << 10
    """The request's target, for example `/v1/completions`: 414 beyond."""

    head_bytes: int = 32 << 10
    """Request line and headers: 431 beyond."""

    headers: int = 100
    """Header lines: 431 beyond."""

    head_s: float = 10.0
    """From a head's first byte to its last: 408 beyond, however the bytes trickle."""

    body_s: float = 30.0
    """From a head's end to the body's last byte: 408 beyond."""

    idle_s: float = 75.0
    """A connection that asks nothing is closed after this."""

    stall_s: float = 60.0
    """A client that reads nothing of its answer is given up after this."""

    linger_s: float = 2.0
    """How long what a refused client still sends is read away, so that the refusal reaches it."""

    waiting_requests: int = 8
    """Requests sent ahead on one connection (pipelining) before its socket is no longer read."""

    write_bytes: int = 64 << 10
    """Answer bytes that wait for a slow client; beyond, the worker's socket is no longer read."""

    all_bodies_bytes: int = 1 << 30
    """Request bodies in memory over all connections: 503 beyond."""

    connections: int = 10_000
    """Connections at once: 503 beyond."""


_KEPT_FILES = 128


def most_connections() -> int:
    """How many clients this process has descriptors for: each may need one more towards a worker."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, (soft - _KEPT_FILES) // 2)
