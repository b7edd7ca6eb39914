"""How much load one driver process can carry on this machine, and how many of them a plan needs. Known before the run.

The cost of a token and of a request is measured with the driver's own reading code on a loopback connection, in CPU
time, so a busy machine does not change it. A process is planned to use at most 60 % of a core: above that it wakes late
often enough that stamps and sends begin to blur.
"""

import json
import math
import os
import select
import socket
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache

from tokenforge.bench.driver.clock import ANCILLARY_BYTES, ReceiveClock, ask_for_kernel_stamps
from tokenforge.bench.driver.exchange import Exchange
from tokenforge.bench.driver.shares import most_processes
from tokenforge.bench.record_bytes import encode_record
from tokenforge.domain.plan import TrialPlan

_CORE_SHARE = 0.6
_CLOSED_LOOP_TOKENS_PER_CLIENT_S = 100.0
_SAMPLE_REQUESTS = 16
_SAMPLE_TOKENS = 64
_READ_BYTES = 16_384
_REQUEST = b"x" * 2_000
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """CPU seconds of one driver process, per streamed token and per request. `cores` are those it may run on."""

    token_s: float
    request_s: float
    cores: int

    def tokens_per_s(self, tokens_per_request: float) -> float:
        """What one process reads truthfully, for answers of that many tokens."""
        return _CORE_SHARE / (self.token_s + self.request_s / max(1.0, tokens_per_request))


@dataclass(frozen=True, slots=True, kw_only=True)
class Staffing:
    """How many processes offer a plan. `needed_tokens_per_s` is the plan's busiest second (closed loop: an assumption).

    `can_carry` is False when the plan needs more processes than this machine has cores.
    """

    processes: int
    needed_tokens_per_s: float
    tokens_per_s_each: float
    can_carry: bool

    @property
    def text(self) -> str:
        """One sentence for whoever watches."""
        plural = "process" if self.processes == 1 else "processes"
        told = (
            f"load generator: {self.processes} {plural}, good for {self.tokens_per_s_each:,.0f} tokens/s each; "
            f"this load needs up to {self.needed_tokens_per_s:,.0f}"
        )
        return told if self.can_carry else f"{told}, more than this machine can offer and measure at once"


def staff(plan: TrialPlan, capacity: Capacity, *, processes: int | None = None) -> Staffing:
    """Enough processes for the plan, at most one a core and one a conversation (or client); or as many as asked."""
    needed = busiest_tokens_per_s(plan)
    mean = sum(request.gen_tokens for request in plan.requests) / max(1, len(plan.requests))
    each = capacity.tokens_per_s(mean)
    wanted = max(1, math.ceil(needed / each))
    return Staffing(
        processes=max(1, min(processes or min(wanted, capacity.cores), most_processes(plan))),
        needed_tokens_per_s=needed,
        tokens_per_s_each=each,
        can_carry=wanted <= capacity.cores,
    )


def busiest_tokens_per_s(plan: TrialPlan) -> float:
    """Output tokens asked for in the busiest second of an open loop, turns counted with their conversation.

    A closed loop's rate is the server's; 100 tokens/s a client are assumed.
    """
    if plan.concurrency is not None:
        return plan.concurrency * _CLOSED_LOOP_TOKENS_PER_CLIENT_S
    second_of: dict[int, int] = {}
    tokens: Counter[int] = Counter()
    for request in plan.requests:
        second = second_of[request.after] if request.after is not None else (request.at_ns or 0) // 1_000_000_000
        second_of[request.index] = second
        tokens[second] += request.gen_tokens
    return float(max(tokens.values(), default=0))


@cache
def measure_capacity() -> Capacity:
    """Read a thousand tokens as the driver does and take the CPU time: about 30 ms, once in a process."""
    server, client = _loopback_pair()
    with server, client, select.epoll() as epoll:
        epoll.register(client.fileno(), select.EPOLLIN)
        clock = ReceiveClock()
        long_s = [_answer_s(server, client, epoll, clock, tokens=_SAMPLE_TOKENS) for _ in range(_SAMPLE_REQUESTS)]
        short_s = [_answer_s(server, client, epoll, clock, tokens=1) for _ in range(_SAMPLE_REQUESTS)]
    long_median, short_median = sorted(long_s)[_SAMPLE_REQUESTS // 2], sorted(short_s)[_SAMPLE_REQUESTS // 2]
    return Capacity(
        token_s=max(1e-7, (long_median - short_median) / (_SAMPLE_TOKENS - 1)),
        request_s=short_median,
        cores=len(os.sched_getaffinity(0)),
    )


def _answer_s(
    server: socket.socket, client: socket.socket, epoll: select.epoll, clock: ReceiveClock, *, tokens: int
) -> float:
    """CPU seconds for one answer of `tokens` chunks, sends of the far side left out."""
    exchange = Exchange(position=0, scheduled_ns=0, deadline_ns=1 << 62)
    start_ns = time.thread_time_ns()
    client.send(_REQUEST)
    spent_ns = time.thread_time_ns() - start_ns
    server.recv(len(_REQUEST))
    for piece in (_HEAD, *[_chunk(last=place == tokens - 1) for place in range(tokens)], _END):
        server.sendall(piece)
        start_ns = time.thread_time_ns()
        epoll.poll(1.0)
        data, ancillary, _, _ = client.recvmsg(_READ_BYTES, ANCILLARY_BYTES)
        exchange.reads.append((data, ancillary, time.monotonic_ns()))
        spent_ns += time.thread_time_ns() - start_ns
    start_ns = time.thread_time_ns()
    exchange.frame(clock)
    while not exchange.interpret(32):
        pass
    encode_record(exchange.record(trial=0, index=0, origin_ns=0, asked=(1, tokens)))
    return (spent_ns + time.thread_time_ns() - start_ns) / 1e9


def _loopback_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), timeout=5)
        listener.settimeout(5)
        server, _ = listener.accept()
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ask_for_kernel_stamps(client)
    return server, client


def _chunk(*, last: bool) -> bytes:
    choice = {"index": 0, "text": " word", "finish_reason": "length" if last else None}
    event = (
        b"data: " + json.dumps({"id": "cmpl-1", "object": "text_completion", "choices": [choice]}).encode() + b"\n\n"
    )
    return b"%x\r\n%b\r\n" % (len(event), event)
