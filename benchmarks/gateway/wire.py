"""A connection of our server without a socket: bytes in, in any cuts, and the bytes that come back.

Its application answers each request with what it was asked, so that an answer that belongs to another request shows.
"""

import asyncio
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tokenforge.gateway.http.connection import Connection
from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.http.server import HttpServer

_ROUNDS = 2_000


class Echo:
    """Answers with method, path and body. `opened` and `left` must be equal in the end."""

    def __init__(self) -> None:
        self.opened = self.left_number = 0

    def open(self, exchange: Exchange) -> int:
        """Anything may come in."""
        del exchange
        self.opened += 1
        return 1 << 20

    def answer_now(self, exchange: Exchange) -> bool:
        """Always by a task."""
        del exchange
        return False

    async def answer(self, exchange: Exchange) -> None:
        """After a turn of the loop, as real work."""
        await asyncio.sleep(0)
        told = [exchange.head.method, exchange.head.path, exchange.body.decode("latin-1")]
        exchange.whole(200, b"content-type: application/json\r\n", json.dumps(told).encode())

    def left(self, exchange: Exchange) -> None:
        """It is over."""
        del exchange
        self.left_number += 1


@dataclass(slots=True)
class Wire(asyncio.Transport):
    """The transport: keeps what is written."""

    written: bytearray = field(default_factory=bytearray)
    is_ended: bool = False
    is_paused: bool = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """To the client."""
        self.written += data

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.is_ended

    def close(self) -> None:
        """End."""
        self.is_ended = True

    def abort(self) -> None:
        """End."""
        self.is_ended = True

    def write_eof(self) -> None:
        """No more comes."""
        self.is_ended = True

    def pause_reading(self) -> None:
        """Send no more for now."""
        self.is_paused = True

    def resume_reading(self) -> None:
        """Go on."""
        self.is_paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Of no use here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came back: statuses, what each 200 told, whether the server ended the connection; `kept` must be 0."""

    statuses: tuple[int, ...]
    told: tuple[tuple[str, str, str], ...]
    is_ended: bool
    kept: int


async def hear(pieces: Sequence[bytes]) -> Heard:
    """Send the pieces one after the other and take what comes back. Raises AssertionError when work never ends."""
    app = Echo()
    server = HttpServer(app, new_id=lambda: "id", clock=time.monotonic, wall_s=lambda: 0.0)
    connection, wire = Connection(server), Wire()
    connection.connection_made(wire)
    for piece in pieces:
        await _settle(lambda: not wire.is_paused)
        if wire.is_ended:
            break
        connection.data_received(piece)
    await _settle(lambda: app.opened == app.left_number or connection.is_waiting_for_client)
    is_ended = wire.is_ended
    connection.connection_lost(None)
    await _settle(lambda: app.opened == app.left_number)
    await server.end(limit_s=0.0)
    statuses, told = _read(bytes(wire.written))
    return Heard(statuses=statuses, told=told, is_ended=is_ended, kept=server.body_bytes)


async def _settle(is_so: object) -> None:
    assert callable(is_so)
    for _ in range(_ROUNDS):
        if is_so():
            return
        await asyncio.sleep(0)
    raise AssertionError("work that was begun does not end")


def _read(written: bytes) -> tuple[tuple[int, ...], tuple[tuple[str, str, str], ...]]:
    statuses: list[int] = []
    told: list[tuple[str, str, str]] = []
    while written:
        head, _, rest = written.partition(b"\r\n\r\n")
        statuses.append(int(head[9:12]))
        length = re.search(rb"content-length: (\d+)", head)
        size = int(length[1]) if length else 0
        if statuses[-1] == 200:
            method, path, body = json.loads(rest[:size])
            told.append((method, path, body))
        written = rest[size:]
    return tuple(statuses), tuple(told)
