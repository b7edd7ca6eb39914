"""The quiet half of a driver process: reads answers when nothing is due, writes records and heartbeats, counts.

Work comes in slices of a few dozen events (about a tenth of a millisecond), so a long answer never makes a send late.
"""

import gc
import time
from collections import deque

from tokenforge.bench.driver.clock import ReceiveClock
from tokenforge.bench.driver.exchange import Exchange
from tokenforge.bench.driver.jobfile import ChildJob
from tokenforge.bench.journal import Heartbeat, JournalWriter
from tokenforge.domain.record import Outcome

_SLICE_EVENTS = 32
_GC_YOUNG_OBJECTS = 1_000_000
_STALL_NS = 25_000_000
_NO_ERROR = frozenset({Outcome.OK, Outcome.HUNG_UP})


class Ledger:
    """Keeps the books of one process. `backlog` is the number of exchanges with unread answers."""

    def __init__(self, *, job: ChildJob, journal: JournalWriter, clock: ReceiveClock) -> None:
        self._job = job
        self._journal = journal
        self._clock = clock
        self._origin_ns = 0
        self._waiting: deque[Exchange] = deque()
        self._cpu_start_ns = 0
        self._gc_pause_max_ns = 0
        self._loop_delay_max_ns = 0
        self._loop_stalled_ns = 0
        self._tokens = 0
        self._finished = 0
        self._errors = 0
        self.sent = 0
        self.retried = 0
        self.stopped_early: str | None = None

    @property
    def backlog(self) -> int:
        """Exchanges whose answers wait to be read."""
        return len(self._waiting)

    def begin(self, origin_ns: int) -> None:
        """The trial starts: stamps count from `origin_ns`, CPU time from now."""
        self._origin_ns = origin_ns
        self._cpu_start_ns = time.process_time_ns()

    def touch(self, exchange: Exchange) -> None:
        """`exchange` has framed bytes to read, or is over."""
        if not exchange.is_waiting:
            exchange.is_waiting = True
            self._waiting.append(exchange)

    def work(self) -> None:
        """Read one slice of the oldest waiting answer; write its record if that was all of it."""
        exchange = self._waiting[0]
        counted = exchange.answer.counted_tokens
        is_read = exchange.interpret(_SLICE_EVENTS)
        self._tokens += exchange.answer.counted_tokens - counted
        if not is_read:
            return
        self._waiting.popleft()
        exchange.is_waiting = False
        if exchange.is_over:
            self._write(exchange)

    def heartbeat(self, now_ns: int, *, in_flight: int, final: bool = False) -> None:
        """Write counters, and hand everything buffered to the kernel."""
        beat = Heartbeat(
            at_ns=now_ns - self._origin_ns,
            sent=self.sent,
            finished=self._finished,
            errors=self._errors,
            in_flight=in_flight,
            tokens=self._tokens,
            cpu_ns=time.process_time_ns() - self._cpu_start_ns,
            gc_pause_max_ns=self._gc_pause_max_ns,
            retried=self.retried,
            clock_steps=self._clock.steps,
            reads=self._clock.reads,
            user_stamps=self._clock.user_stamps,
            loop_delay_max_ns=self._loop_delay_max_ns,
            loop_stalled_ns=self._loop_stalled_ns,
            final=final,
            stopped_early=self.stopped_early,
        )
        self._journal.heartbeat(beat)
        self._journal.flush()

    def delayed(self, by_ns: int) -> None:
        """The loop was away so long: it worked on something else, or did not get its core."""
        self._loop_delay_max_ns = max(self._loop_delay_max_ns, by_ns)
        if by_ns > _STALL_NS:
            self._loop_stalled_ns += by_ns

    def sweep(self) -> None:
        """Collect cyclic garbage if very much is young (we make none: that would be a leak); records the pause."""
        if gc.get_count()[0] < _GC_YOUNG_OBJECTS:
            return
        start = time.monotonic_ns()
        gc.collect(0)
        self._gc_pause_max_ns = max(self._gc_pause_max_ns, time.monotonic_ns() - start)

    def _write(self, exchange: Exchange) -> None:
        job, position = self._job, exchange.position
        prompt = job.asked_prompt_tokens[position]
        record = exchange.record(
            trial=job.trial,
            index=job.index[position],
            origin_ns=self._origin_ns,
            asked=(None if prompt < 0 else prompt, job.asked_output_tokens[position]),
        )
        self._finished += 1
        self._errors += record.outcome not in _NO_ERROR
        self._journal.record(record)
