"""The raw client in plain Python: recvmsg and nothing else. What it cannot hold, no Python client in one process can.

Same options, same output and same rules as `raw_client.c`, which see.
"""

import argparse
import random
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from pathlib import Path

from tokenforge.bench.driver.clock import ANCILLARY_BYTES, ReceiveClock, ScheduleTimer, ask_for_kernel_stamps
from tokenforge.bench.driver.priority import take_priority

_LEAD_NS = 50_000_000
_READ_BYTES = 65536
_NS = 1_000_000_000
_NOTE = struct.Struct("<5q")


@dataclass(slots=True)
class Connection:
    """One kept connection and the request it carries."""

    sock: socket.socket
    request: int = 0
    has_head: bool = False
    end: bytes = b""


@dataclass(slots=True)
class RawClient:
    """`due` is None in a closed loop of `streams`."""

    port: int
    requests: list[bytes]
    due: list[int] | None
    streams: int
    epoll: select.epoll = field(default_factory=select.epoll)
    timer: ScheduleTimer = field(default_factory=ScheduleTimer)
    clock: ReceiveClock = field(default_factory=ReceiveClock)
    connections: dict[int, Connection] = field(default_factory=dict)
    idle: list[Connection] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    first: dict[int, int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)
    finished: int = 0

    def run(self) -> None:
        """Send everything, read everything."""
        self.epoll.register(self.timer.fd, select.EPOLLIN)
        for _ in range(min(self.streams, len(self.requests))):
            self._send()
        while self.finished < len(self.requests):
            if self.due is not None:
                self._send_due(self.due)
            for fd, _ in self.epoll.poll():
                if fd != self.timer.fd:
                    self._read(self.connections[fd])

    def _send_due(self, due: list[int]) -> None:
        while len(self.sent) < len(due) and due[len(self.sent)] <= time.monotonic_ns():
            self._send()
        self.timer.arm(due[len(self.sent)] if len(self.sent) < len(due) else 0)

    def _send(self) -> None:
        connection = self.idle.pop() if self.idle else self._connect()
        connection.request, connection.has_head, connection.end = len(self.sent), False, b""
        self.sent.append(time.monotonic_ns())
        connection.sock.sendall(self.requests[connection.request])

    def _connect(self) -> Connection:
        sock = socket.create_connection(("127.0.0.1", self.port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ask_for_kernel_stamps(sock)
        connection = self.connections[sock.fileno()] = Connection(sock)
        self.epoll.register(sock.fileno(), select.EPOLLIN)
        return connection

    def _read(self, connection: Connection) -> None:
        now_ns = time.monotonic_ns()
        data, ancillary, _, _ = connection.sock.recvmsg(_READ_BYTES, ANCILLARY_BYTES)
        if not data:
            raise ConnectionError("the server closed a connection")
        at_ns = self.clock.stamp(ancillary, now_ns)
        if not connection.has_head:
            connection.has_head = True
            if data.endswith(b"\r\n\r\n") and data.startswith(b"HTTP") and data.count(b"\r\n\r\n") == 1:
                return
        self.first.setdefault(connection.request, at_ns)
        self.last[connection.request] = at_ns
        connection.end = (connection.end + data)[-5:]
        if connection.end != b"0\r\n\r\n":
            return
        self.finished += 1
        self.idle.append(connection)
        if self.streams and len(self.sent) < len(self.requests):
            self._send()


def main() -> None:
    """Plan, run, write down."""
    parser = argparse.ArgumentParser()
    for name, kind in (("port", int), ("requests", int), ("tokens", int), ("streams", int), ("seed", int)):
        parser.add_argument(f"--{name}", type=kind, default=0)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    requests = [_request(number, asked.tokens) for number in range(asked.requests)]
    due = None if asked.streams else _due(asked.requests, rate=asked.rate, seed=asked.seed)
    take_priority()
    client = RawClient(port=asked.port, requests=requests, due=due, streams=asked.streams)
    client.run()
    rows = [
        _NOTE.pack(i, due[i] if due else 0, client.sent[i], client.first[i], client.last[i])
        for i in range(asked.requests)
    ]
    asked.out.write_bytes(b"".join(rows))


def _request(number: int, tokens: int) -> bytes:
    body = f'{{"model":"truth","prompt":"{number} words","max_tokens":{tokens},"stream":true}}'
    head = "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def _due(count: int, *, rate: float, seed: int) -> list[int]:
    chance, at_ns, times = random.Random(seed), time.monotonic_ns() + _LEAD_NS, []
    for _ in range(count):
        times.append(at_ns)
        at_ns += int(chance.expovariate(rate) * _NS)
    return times


if __name__ == "__main__":
    main()
