"""The loop of a driver process: one epoll for the schedule, the sockets and the parent's word.

Order of importance: what is due is sent; what arrived is taken off the sockets (the kernel has stamped it already);
answers are read when neither waits. No name lookup, no file, no JSON on the way of a due request.
"""

import gc
import itertools
import os
import select
import time
from collections import deque

from tokenforge.bench.driver.clock import ANCILLARY_BYTES, ReceiveClock, ScheduleTimer
from tokenforge.bench.driver.connection import Connection, Connector
from tokenforge.bench.driver.conversations import schedule_of
from tokenforge.bench.driver.exchange import Exchange
from tokenforge.bench.driver.jobfile import ChildJob
from tokenforge.bench.driver.ledger import Ledger
from tokenforge.bench.driver.pace import Pace
from tokenforge.bench.driver.schedule import NEVER
from tokenforge.bench.driver.traffic import Traffic
from tokenforge.bench.journal import JournalWriter

_NS = 1_000_000_000
_TICK_NS = 100_000_000
_HEARTBEAT_TICKS = 2
_SLACK_NS = 150_000
_AWAKE_NS = 150_000
_BATCH = 8
_OPEN_PAUSE_NS, _OTHER_PAUSE_NS, _LEAST_PAUSE_NS = 2_000_000, 200_000, 30_000
_PAUSE_NS = 3_000_000
_AWAY_NS = 3_000_000
_MAX_BACKLOG = 1_024
_READ_BYTES = 16_384
_FRAME_AHEAD_READS = 8
_FRAME_READS = 256
_OPEN_AHEAD_MIN = 4
_OPEN_AHEAD_MAX = 256
_WRITE = select.EPOLLOUT
_END = b"\r\n\r\n"
"""A chunked response can end only with a read that ends so, or with one too short to tell (`_END_BYTES`)."""
_END_BYTES = len(_END)


class LoadLoop:
    """Runs one job. `begin` connects ahead of time; `run` offers the load from `origin_ns` on and returns at its end.

    `control_fd` is the parent's word: end of file, or any byte, means stop.
    """

    def __init__(self, *, job: ChildJob, journal: JournalWriter, control_fd: int) -> None:
        self._job = job
        self._control_fd = control_fd
        self._epoll = select.epoll()
        self._timer = ScheduleTimer()
        self._aimed_ns = NEVER
        self._wake_ns = NEVER
        self._clock = ReceiveClock()
        self._schedule = schedule_of(job)
        self._ledger = Ledger(job=job, journal=journal, clock=self._clock)
        connector = Connector(
            host=job.host,
            port=job.port,
            tls=job.tls,
            epoll=self._epoll,
            numbers=itertools.count(job.process, job.processes),
        )
        self._traffic = Traffic(
            job=job, connector=connector, schedule=self._schedule, ledger=self._ledger, clock=self._clock
        )
        is_plain = job.concurrency is None and not job.has_turns
        self._pace = Pace(longest_ns=_OPEN_PAUSE_NS if is_plain else _OTHER_PAUSE_NS)
        self._look_ns = 0
        self._reads = 0
        self._unframed: deque[Connection] = deque()
        self._sent_at_tick = 0
        self._ticks = 0
        self._drain_until_ns = NEVER
        self._stop_reason: str | None = None
        self._woke_ns = NEVER

    def begin(self) -> None:
        """Open connections for the first requests and settle the process; the load can start at any time after."""
        self._epoll.register(self._timer.fd, select.EPOLLIN)
        self._epoll.register(self._control_fd, select.EPOLLIN)
        self._traffic.open_ahead(_first_connections(self._job))
        gc.collect()
        gc.freeze()
        gc.disable()

    def stop(self, reason: str) -> None:
        """Send nothing more, end what is in flight; `run` returns soon. Safe in a signal handler."""
        self._stop_reason = reason

    def run(self, origin_ns: int) -> None:
        """Offer the load and wait for the answers."""
        clock, schedule, ledger, traffic = time.monotonic_ns, self._schedule, self._ledger, self._traffic
        schedule.begin(origin_ns)
        ledger.begin(origin_ns)
        next_tick_ns = origin_ns
        while True:
            now_ns = clock()
            if now_ns >= schedule.due_ns:
                self._send_due()
            if now_ns >= traffic.hang_up_ns:
                traffic.hang_up(now_ns)
            if now_ns >= next_tick_ns:
                next_tick_ns = now_ns + _TICK_NS
                if self._tick(now_ns):
                    break
            events = self._wait(now_ns, next_tick_ns)
            if events:
                self._reads += len(events)
                self._serve(events)
                while ledger.backlog > _MAX_BACKLOG:
                    ledger.work()
                    if clock() >= schedule.due_ns:
                        self._send_due()
            elif schedule.due_ns - now_ns > _SLACK_NS:
                self._work_ahead()
        self._end()

    def _wait(self, now_ns: int, next_tick_ns: int) -> list[tuple[int, int]]:
        """Events, once the pause since the last look is over; none at once if answers wait to be read meanwhile.

        A core that sleeps wakes late by a tenth of a millisecond and more, so after a long time without a send the wait
        ends early, and the last of it is spent awake.
        """
        due_ns = min(self._schedule.due_ns, self._traffic.hang_up_ns)
        if due_ns != self._aimed_ns:
            self._aimed_ns = due_ns
            self._wake_ns = due_ns - _AWAKE_NS if due_ns - now_ns > _PAUSE_NS else due_ns
            self._timer.arm(0 if due_ns == NEVER else self._wake_ns)
        timeout_s = 0.0
        if now_ns < self._wake_ns:
            if not self._has_work or due_ns - now_ns <= _SLACK_NS:
                self._rest(now_ns, min(self._look_ns, self._wake_ns, next_tick_ns))
                timeout_s = max(0.0, (next_tick_ns - now_ns) / _NS)
            elif now_ns < self._look_ns:
                return []
        events = self._epoll.poll(timeout_s)
        self._woke(now_ns, next_tick_ns)
        return events

    def _woke(self, asked_ns: int, next_tick_ns: int) -> None:
        """The loop looked at its sockets. It was away from the look before until `asked_ns`, or sleeps too long."""
        away_ns = asked_ns - self._woke_ns
        self._woke_ns = time.monotonic_ns()
        self._look_ns = self._woke_ns + self._pace.pause_ns
        away_ns = max(away_ns, self._woke_ns - next_tick_ns)
        if away_ns > _AWAY_NS:
            self._ledger.delayed(away_ns)

    def _rest(self, now_ns: int, until_ns: int) -> None:
        if until_ns - now_ns >= _LEAST_PAUSE_NS:
            time.sleep((until_ns - now_ns) / _NS)

    @property
    def _has_work(self) -> bool:
        return bool(self._unframed or self._ledger.backlog)

    def _send_due(self) -> None:
        while (position := self._schedule.take(now_ns := time.monotonic_ns())) is not None:
            self._traffic.start(position, now_ns)

    def _serve(self, events: list[tuple[int, int]]) -> None:
        """Take what arrived; whatever falls due meanwhile is sent in between."""
        clock, schedule, connections, receive = time.monotonic_ns, self._schedule, self._traffic.open, self._receive
        for start in range(0, len(events), _BATCH):
            now_ns = clock()
            if now_ns >= schedule.due_ns:
                self._send_due()
            for fd, mask in events[start : start + _BATCH]:
                connection = connections.get(fd)
                if connection is None:
                    if fd == self._control_fd:
                        self._hear()
                    continue
                if mask & _WRITE:
                    self._traffic.push(connection)
                if mask != _WRITE:
                    receive(connection, now_ns)

    def _work_ahead(self) -> None:
        """Use a quiet moment: frame a running answer, so that less is left to do at its end, or read a framed one."""
        if self._unframed:
            connection = self._unframed.popleft()
            if connection.exchange is not None and connection.exchange.reads:
                self._frame(connection, connection.exchange)
        elif self._ledger.backlog:
            self._ledger.work()

    def _receive(self, connection: Connection, now_ns: int) -> None:
        """One read. Framing waits for a quiet moment or bytes that look like an end: most reads cost one append."""
        try:
            data, ancillary, _, _ = connection.receive(_READ_BYTES, ANCILLARY_BYTES)
            if data and connection.is_tls:
                data = self._decrypted(connection, data)
                if not data:
                    return
        except BlockingIOError:
            return
        except OSError as error:
            self._traffic.lose(connection, error)
            return
        exchange = connection.exchange
        if not data or exchange is None:
            self._traffic.lose(connection, None)
            return
        reads = exchange.reads
        reads.append((data, ancillary, now_ns))
        if exchange.is_chunked and data[-4:] != _END and len(data) >= _END_BYTES:
            if len(reads) == _FRAME_AHEAD_READS:
                self._unframed.append(connection)
            if len(reads) < _FRAME_READS:
                return
        self._frame(connection, exchange)

    def _frame(self, connection: Connection, exchange: Exchange) -> None:
        is_whole = exchange.frame(self._clock)
        if is_whole:
            self._traffic.complete(connection)
        elif exchange.is_chunked:
            self._ledger.touch(exchange)

    def _decrypted(self, connection: Connection, data: bytes) -> bytes:
        plain = connection.decrypt(data)
        if not plain:
            self._traffic.push(connection)
        return plain

    def _tick(self, now_ns: int) -> bool:
        """Twenty times a second: clocks, deadlines, spare connections, heartbeat. True when the work is done."""
        traffic, ledger, schedule = self._traffic, self._ledger, self._schedule
        self._clock.sync()
        if self._stop_reason is not None and ledger.stopped_early is None:
            ledger.stopped_early = self._stop_reason
            schedule.stop()
            traffic.cancel_all(f"stopped: {self._stop_reason}")
        traffic.expire(now_ns)
        if schedule.is_over(now_ns):
            self._drain(now_ns)
        else:
            traffic.open_ahead(min(max(_OPEN_AHEAD_MIN, ledger.sent - self._sent_at_tick), _OPEN_AHEAD_MAX))
        self._sent_at_tick = ledger.sent
        self._pace.note(reads=self._reads, streams=len(traffic.in_flight), over_ns=_TICK_NS)
        self._reads = 0
        ledger.sweep()
        self._ticks += 1
        if self._ticks % _HEARTBEAT_TICKS == 0:
            ledger.heartbeat(now_ns, in_flight=len(traffic.in_flight))
        return schedule.is_over(now_ns) and not traffic.in_flight

    def _drain(self, now_ns: int) -> None:
        if self._drain_until_ns == NEVER:
            self._drain_until_ns = now_ns + int(self._job.drain_s * _NS)
        elif now_ns >= self._drain_until_ns:
            self._traffic.cancel_all(f"still open {self._job.drain_s:g} s after the last request was sent")

    def _hear(self) -> None:
        word = os.read(self._control_fd, 200)
        self._epoll.unregister(self._control_fd)
        self.stop(word.decode(errors="replace") or "the parent ended the run")

    def _end(self) -> None:
        """Read what is left, write the last heartbeat."""
        end_ns = time.monotonic_ns()
        while self._ledger.backlog:
            self._ledger.work()
        self._ledger.heartbeat(end_ns, in_flight=0, final=True)
        self._traffic.close()
        self._timer.close()
        self._epoll.close()


def _first_connections(job: ChildJob) -> int:
    """Enough for a closed loop's clients, or for the first half second of an open loop."""
    if job.concurrency is not None:
        return min(job.concurrency, job.count)
    early = sum(0 <= at_ns <= _NS // 2 for at_ns in job.at_ns[:_OPEN_AHEAD_MAX])
    return min(max(early, _OPEN_AHEAD_MIN), _OPEN_AHEAD_MAX, job.count)
