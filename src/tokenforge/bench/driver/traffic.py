"""Requests on connections: starting one, what its connection may do to it, and how it ends.

Every request that was taken from the schedule ends here exactly once, with a reason, and is handed to the ledger.
A request whose kept connection the server closed before any byte of an answer is sent again once, on a new connection
(the keep-alive race is HTTP's, not the server's fault); its `sent_ns` stays the first one.
"""

import heapq
import time

from tokenforge.bench.driver.clock import ReceiveClock
from tokenforge.bench.driver.connection import Connection, Connector
from tokenforge.bench.driver.exchange import Exchange
from tokenforge.bench.driver.jobfile import ChildJob
from tokenforge.bench.driver.ledger import Ledger
from tokenforge.bench.driver.schedule import NEVER, Schedule
from tokenforge.domain.record import Outcome


class Traffic:
    """All connections of a process by descriptor (`open`), the idle ones as a stack, and the requests in flight."""

    def __init__(
        self, *, job: ChildJob, connector: Connector, schedule: Schedule, ledger: Ledger, clock: ReceiveClock
    ) -> None:
        self.open: dict[int, Connection] = {}
        self.in_flight: dict[int, Connection] = {}
        self._idle: list[Connection] = []
        self._job = job
        self._connector = connector
        self._schedule = schedule
        self._ledger = ledger
        self._clock = clock
        self._hang_ups: list[tuple[int, int, Exchange]] = []
        self.hang_up_ns = NEVER
        self._timeout_ns = int(job.request_timeout_s * 1e9)

    def open_ahead(self, wanted: int) -> None:
        """Have at least `wanted` idle connections, so the next requests need no handshake; failures show up later."""
        while len(self._idle) < wanted:
            try:
                connection = self._connector.open()
            except OSError:
                return
            self.open[connection.fd] = connection
            self._rest(connection)

    def start(self, position: int, now_ns: int) -> None:
        """Send the request at `position` now."""
        scheduled_ns = self._schedule.scheduled_ns(position)
        exchange = Exchange(position=position, scheduled_ns=scheduled_ns, deadline_ns=now_ns + self._timeout_ns)
        self._ledger.sent += 1
        connection = self._idle.pop() if self._idle else self._connect(exchange)
        if connection is not None:
            self._send(connection, exchange)
            after_ns = self._job.hang_up_ns[position]
            if after_ns >= 0:
                heapq.heappush(self._hang_ups, (now_ns + after_ns, position, exchange))
                self.hang_up_ns = self._hang_ups[0][0]

    def push(self, connection: Connection) -> None:
        """The connection can take more bytes."""
        before_ns = time.monotonic_ns()
        try:
            has_sent = connection.flush()
        except OSError as error:
            self.lose(connection, error)
            return
        exchange = connection.exchange
        if has_sent and exchange is not None and exchange.sent_ns is None:
            exchange.sent_ns = before_ns

    def complete(self, connection: Connection) -> None:
        """The exchange's response is whole, or breaks the protocol."""
        exchange = connection.exchange
        if exchange is None:
            return
        connection.exchange = None
        if exchange.framer.keep_alive and exchange.framer.error is None:
            self._rest(connection)
        else:
            self._drop(connection)
        self._end(exchange)

    def lose(self, connection: Connection, error: OSError | None) -> None:
        """The connection is gone: closed by the peer (`error` None) or failed."""
        self._drop(connection)
        exchange, connection.exchange = connection.exchange, None
        if exchange is None:
            return
        exchange.frame(self._clock)
        exchange.framer.end_of_file()
        if exchange.framer.done or exchange.framer.error is not None:
            self._end(exchange)
        elif exchange.end_ns is None and connection.has_rested and not exchange.is_retry:
            self._retry(exchange)
        elif exchange.sent_ns is None:
            self._break(exchange, Outcome.CONNECT_FAILED, f"no connection: {_shown(error)}")
        else:
            seen = "within the answer" if exchange.end_ns else "before any byte of an answer"
            self._break(exchange, Outcome.TRUNCATED, f"connection ended {seen}: {_shown(error)}")

    def expire(self, now_ns: int) -> None:
        """End what is past its deadline; requests are in flight in the order of their deadlines, retries aside."""
        while self.in_flight:
            connection = next(iter(self.in_flight.values()))
            exchange = connection.exchange
            if exchange is None or exchange.deadline_ns > now_ns:
                return
            self._abandon(connection, Outcome.TIMEOUT, f"no end within {self._job.request_timeout_s:g} s")

    def hang_up(self, now_ns: int) -> None:
        """Leave the requests whose client was planned to have gone by now; answers that are whole stay as they are."""
        while self._hang_ups and self._hang_ups[0][0] <= now_ns:
            exchange = heapq.heappop(self._hang_ups)[2]
            connection = self.in_flight.get(exchange.position)
            if connection is not None and connection.exchange is exchange:
                self._abandon(connection, Outcome.HUNG_UP, "the client hung up, as planned")
        self.hang_up_ns = self._hang_ups[0][0] if self._hang_ups else NEVER

    def cancel_all(self, reason: str) -> None:
        """End everything in flight; what came so far is kept."""
        for connection in list(self.in_flight.values()):
            self._abandon(connection, Outcome.CANCELLED, reason)

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self.open.values()):
            self._drop(connection)

    def _connect(self, exchange: Exchange) -> Connection | None:
        try:
            connection = self._connector.open()
        except OSError as error:
            self._break(exchange, Outcome.CONNECT_FAILED, f"no connection: {_shown(error)}")
            return None
        self.open[connection.fd] = connection
        return connection

    def _send(self, connection: Connection, exchange: Exchange) -> None:
        position = exchange.position
        connection.exchange = exchange
        exchange.connection = connection.id
        self.in_flight[position] = connection
        request = self._job.request(position)
        sent_ns = time.monotonic_ns()
        try:
            has_sent = connection.write(request)
        except OSError as error:
            if exchange.sent_ns is None and connection.has_rested:
                exchange.sent_ns = sent_ns
            self.lose(connection, error)
            return
        if has_sent and exchange.sent_ns is None:
            exchange.sent_ns = sent_ns

    def _retry(self, exchange: Exchange) -> None:
        exchange.is_retry = True
        self._ledger.retried += 1
        connection = self._connect(exchange)
        if connection is not None:
            self._send(connection, exchange)

    def _abandon(self, connection: Connection, outcome: Outcome, reason: str) -> None:
        exchange, connection.exchange = connection.exchange, None
        self._drop(connection)
        if exchange is None:
            return
        exchange.frame(self._clock)
        if exchange.framer.done:
            self._end(exchange)
        else:
            self._break(exchange, outcome, reason)

    def _break(self, exchange: Exchange, outcome: Outcome, reason: str) -> None:
        exchange.broken = (outcome, reason)
        exchange.end_ns = time.monotonic_ns()
        self._end(exchange)

    def _end(self, exchange: Exchange) -> None:
        exchange.is_over = True
        self.in_flight.pop(exchange.position, None)
        self._schedule.release(exchange.position, exchange.end_ns or time.monotonic_ns())
        self._ledger.touch(exchange)

    def _rest(self, connection: Connection) -> None:
        connection.has_rested = True
        self._idle.append(connection)

    def _drop(self, connection: Connection) -> None:
        if self.open.pop(connection.fd, None) is None:
            return
        if connection.exchange is None and connection in self._idle:
            self._idle.remove(connection)
        connection.close()


def _shown(error: OSError | None) -> str:
    return "closed by the server" if error is None else (error.strerror or str(error)).lower()
