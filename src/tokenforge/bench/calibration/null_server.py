"""A server of known truth: answers OpenAI streams at a set pace and writes down when it really did.

One thread, one epoll, one timerfd, ready-made bytes. It need not be punctual to be true: what counts is its log, taken
around the very call that hands a chunk to the kernel, and the kernel's own stamp of each request. It generates nothing
and speaks only what is needed of HTTP. A client that does not read is dropped, and has no truth.
"""

import heapq
import itertools
import re
import select
import socket
import time

from tokenforge.bench.calibration.chunks import HEAD, ChunkBook
from tokenforge.bench.calibration.truth import TrueAnswer
from tokenforge.bench.driver.clock import ANCILLARY_BYTES, ReceiveClock, ScheduleTimer, ask_for_kernel_stamps

_SYNC_S = 0.05
_READ_BYTES = 262_144
_BACKLOG = 4_096
_FIRES = 64
_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_PROMPT = re.compile(rb'"(?:prompt|content)": *["\[ ]*(\d+)')
_TOKENS = re.compile(rb'"max_tokens": *(\d+)')


class Stream:
    """One connection and the answer it carries, if any."""

    __slots__ = ("arrival_ns", "book", "handed_ns", "prompt", "received", "sock", "tokens", "took_ns")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = bytearray()
        self.prompt = -1
        self.tokens = 0
        self.arrival_ns = 0
        self.book = _BOOKS[False, False]
        self.handed_ns: list[int] = []
        self.took_ns: list[int] = []


_BOOKS = {
    (is_chat, has_usage): ChunkBook(is_chat=is_chat, has_usage=has_usage)
    for is_chat in (False, True)
    for has_usage in (False, True)
}


class NullServer:
    """Serves until `control_fd` ends or has a byte. `answers` is the truth of every answer that was given whole."""

    def __init__(self, *, ttft_ns: int, itl_ns: int, control_fd: int) -> None:
        self.answers: list[TrueAnswer] = []
        self._ttft_ns = ttft_ns
        self._itl_ns = itl_ns
        self._control_fd = control_fd
        self._clock = ReceiveClock()
        self._timer = ScheduleTimer()
        self._due: list[tuple[int, int, Stream]] = []
        self._turns = itertools.count()
        self._streams: dict[int, Stream] = {}
        self._epoll = select.epoll()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._listener.setblocking(False)
        ask_for_kernel_stamps(self._listener)
        for fd in (self._listener.fileno(), self._timer.fd, control_fd):
            self._epoll.register(fd, select.EPOLLIN)

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        port: int = self._listener.getsockname()[1]
        return port

    def run(self) -> None:
        """Serve."""
        control, listener, next_sync_ns = self._control_fd, self._listener.fileno(), 0
        while True:
            self._fire()
            if (now_ns := time.monotonic_ns()) >= next_sync_ns:
                self._clock.sync()
                next_sync_ns = now_ns + int(_SYNC_S * 1e9)
            self._timer.arm(self._due[0][0] if self._due else 0)
            for fd, _ in self._epoll.poll(_SYNC_S):
                if fd == control:
                    return
                if fd == listener:
                    self._accept()
                elif (stream := self._streams.get(fd)) is not None:
                    self._receive(stream)

    def hand(self, stream: Stream, chunk: bytes) -> tuple[int, int]:
        """Give a token chunk to the kernel: when, and how long it took. Raises OSError unless all of it was taken."""
        before_ns = time.monotonic_ns()
        taken = stream.sock.send(chunk)
        took_ns = time.monotonic_ns() - before_ns
        if taken < len(chunk):
            raise BlockingIOError("the client does not read")
        return before_ns, took_ns

    def _fire(self) -> None:
        """Send what is due; after some, the sockets have their turn."""
        due = self._due
        for _ in range(_FIRES):
            if not due or due[0][0] > time.monotonic_ns():
                return
            _, _, stream = heapq.heappop(due)
            try:
                self._send(stream)
            except OSError:
                self._drop(stream)

    def _send(self, stream: Stream) -> None:
        number = len(stream.handed_ns)
        is_last = number + 1 == stream.tokens
        handed_ns, took_ns = self.hand(stream, stream.book.token(number, is_last=is_last))
        stream.handed_ns.append(handed_ns)
        stream.took_ns.append(took_ns)
        if not is_last:
            self._plan(stream)
            return
        stream.sock.sendall(stream.book.tail(stream.tokens))
        self.answers.append(
            TrueAnswer(
                prompt=stream.prompt,
                arrival_ns=stream.arrival_ns,
                handed_ns=tuple(stream.handed_ns),
                took_ns=tuple(stream.took_ns),
            )
        )
        stream.tokens = 0

    def _plan(self, stream: Stream) -> None:
        """Every chunk has its own time counted from the arrival, so that delays do not add up."""
        due_ns = stream.arrival_ns + self._ttft_ns + len(stream.handed_ns) * self._itl_ns
        heapq.heappush(self._due, (due_ns, next(self._turns), stream))

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ask_for_kernel_stamps(sock)
            self._streams[sock.fileno()] = Stream(sock)
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _receive(self, stream: Stream) -> None:
        user_ns = time.monotonic_ns()
        try:
            data, ancillary, _, _ = stream.sock.recvmsg(_READ_BYTES, ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(stream)
            return
        stream.received += data
        body = _whole_body(stream.received)
        if body is not None and not stream.tokens:
            self._begin(stream, body, arrival_ns=self._clock.stamp(ancillary, user_ns))

    def _begin(self, stream: Stream, body: bytes, *, arrival_ns: int) -> None:
        prompt, tokens = _PROMPT.search(body), _TOKENS.search(body)
        has_usage = b"continuous_usage_stats" in body
        stream.received.clear()
        stream.arrival_ns = arrival_ns
        stream.prompt = int(prompt[1]) if prompt else -1
        stream.tokens = max(1, int(tokens[1])) if tokens else 1
        stream.book = _BOOKS[b'"messages":' in body, has_usage]
        stream.handed_ns.clear()
        stream.took_ns.clear()
        try:
            stream.sock.sendall(HEAD)
        except OSError:
            self._drop(stream)
            return
        self._plan(stream)

    def _drop(self, stream: Stream) -> None:
        """Forget a connection; a chunk still due to it is found gone when it falls due."""
        self._streams.pop(stream.sock.fileno(), None)
        stream.sock.close()


def _whole_body(received: bytearray) -> bytes | None:
    """The body of the request, once all of it is there."""
    end = received.find(_HEAD_END)
    if end < 0:
        return None
    length = _LENGTH.search(received, 0, end)
    body = bytes(received[end + len(_HEAD_END) :])
    return body if length is None or len(body) >= int(length[1]) else None
