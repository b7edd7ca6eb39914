"""One request and its answer, from its place in the schedule to its record.

Reads are kept as they come, with their stamps; `frame` finds where the response ends, `interpret` reads events. The two
are apart because the first decides when the connection is free, and the second can wait until nothing is due.
"""

import json
import re

from tokenforge.bench.driver.answer import Answer, Event, error_message
from tokenforge.bench.driver.clock import Ancillary, ReceiveClock
from tokenforge.bench.driver.http1 import ResponseFramer
from tokenforge.bench.driver.sse import EventSplitter, lone_event
from tokenforge.domain.record import Outcome, RequestRecord

_EVENT_STREAM = "text/event-stream"
_MILLISECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")


class Exchange:
    """One request on the wire. Stamps here are monotonic ns; `record` counts them from the origin."""

    __slots__ = (
        "_body",
        "_events",
        "_splitter",
        "answer",
        "broken",
        "connection",
        "deadline_ns",
        "end_ns",
        "framer",
        "headers_ns",
        "is_chunked",
        "is_over",
        "is_retry",
        "is_waiting",
        "position",
        "reads",
        "scheduled_ns",
        "sent_ns",
    )

    def __init__(self, *, position: int, scheduled_ns: int | None, deadline_ns: int) -> None:
        self.position = position
        self.scheduled_ns = scheduled_ns
        self.deadline_ns = deadline_ns
        self.sent_ns: int | None = None
        self.headers_ns: int | None = None
        self.end_ns: int | None = None
        self.connection = -1
        self.reads: list[tuple[bytes, Ancillary, int]] = []
        self.framer = ResponseFramer()
        self.answer = Answer()
        self.broken: tuple[Outcome, str] | None = None
        self.is_chunked = False
        self.is_over = False
        self.is_retry = False
        self.is_waiting = False
        self._events: list[Event] = []
        self._splitter = EventSplitter()
        self._body = b""

    def frame(self, clock: ReceiveClock) -> bool:
        """Run the reads kept so far through HTTP framing; True once the response is whole or broken."""
        framer, splitter, events = self.framer, self._splitter, self._events
        is_plain = self.is_stream and framer.is_between_chunks and splitter.is_between_events
        for data, ancillary, user_ns in self.reads:
            stamp = clock.stamp(ancillary, user_ns)
            self.end_ns = stamp
            if is_plain and (event := lone_event(data)) is not None:
                events.append((event, stamp))
                continue
            body = framer.feed(data)
            if self.headers_ns is None and framer.status is not None:
                self.headers_ns = stamp
            if body and self.is_stream:
                events += splitter.feed(body, stamp)
            elif body:
                self._body += body
            is_plain = self.is_stream and framer.is_between_chunks and splitter.is_between_events
        self.reads.clear()
        self.is_chunked = framer.is_chunked
        return framer.done or framer.error is not None

    def interpret(self, limit: int) -> bool:
        """Read up to `limit` events; True when none is left."""
        events = self._events
        if len(events) <= limit:
            self.answer.read(events)
            self._events = []
            return True
        self.answer.read(events[:limit])
        del events[:limit]
        return False

    @property
    def is_stream(self) -> bool:
        """A good answer whose body is events."""
        framer = self.framer
        return framer.status == 200 and framer.headers.get("content-type", "").lower().startswith(_EVENT_STREAM)

    def record(self, *, trial: int, index: int, origin_ns: int, asked: tuple[int | None, int]) -> RequestRecord:
        """The record; call it when the exchange is over and interpreted to the end."""
        outcome, error = self._verdict()
        answer = self.answer
        return RequestRecord(
            trial=trial,
            index=index,
            scheduled_ns=_since(self.scheduled_ns, origin_ns),
            sent_ns=_since(self.sent_ns, origin_ns),
            headers_ns=_since(self.headers_ns, origin_ns),
            first_ns=answer.chunk_ns[0] - origin_ns if answer.chunk_ns else None,
            end_ns=_since(self.end_ns, origin_ns),
            chunk_ns=tuple([stamp - origin_ns for stamp in answer.chunk_ns]),
            chunk_tokens=tuple(answer.chunk_tokens),
            asked_prompt_tokens=asked[0],
            asked_output_tokens=asked[1],
            prompt_tokens=answer.prompt_tokens,
            cached_tokens=answer.cached_tokens,
            output_tokens=answer.output_tokens,
            counted_tokens=answer.counted_tokens,
            finish_reason=answer.finish_reason,
            http_status=self.framer.status,
            outcome=outcome,
            error=error,
            connection=self.connection,
            merged_reads=answer.merged_reads,
            server_first_ns=answer.timing.get("first_token_ns"),
            server_queue_ns=answer.timing.get("queue_ns"),
            server_prefill_ns=answer.timing.get("prefill_ns"),
            gateway_ns=gateway_ns(self.framer.headers.get("server-timing", "")),
        )

    def _verdict(self) -> tuple[Outcome, str | None]:
        framer, answer = self.framer, self.answer
        if framer.error is not None:
            return Outcome.PROTOCOL_ERROR, f"HTTP: {framer.error}"
        if framer.status is not None and framer.status != 200:
            return Outcome.HTTP_ERROR, self._server_words()
        if answer.server_error is not None:
            return Outcome.HTTP_ERROR, f"error event in the stream: {answer.server_error}"
        if self.broken is not None:
            return self.broken
        if not self.is_stream:
            kind = framer.headers.get("content-type", "none")
            return Outcome.PROTOCOL_ERROR, f"the answer is no event stream (Content-Type {kind[:60]})"
        if answer.fault is not None:
            return Outcome.PROTOCOL_ERROR, answer.fault
        return self._stream_verdict()

    def _stream_verdict(self) -> tuple[Outcome, str | None]:
        leftover = self._splitter.leftover
        if leftover and leftover != b"[DONE]":
            return Outcome.TRUNCATED, f"the stream ended inside an event: {leftover[:60].decode(errors='replace')!r}"
        is_done = self.answer.is_done or bool(leftover)
        if self.answer.finish_reason is None:
            return Outcome.TRUNCATED, f"the stream ended {'with [DONE] but ' if is_done else ''}without a finish_reason"
        if not is_done and self.framer.ends_by_close:
            return Outcome.TRUNCATED, "the connection closed before [DONE]"
        return Outcome.OK, None

    def _server_words(self) -> str:
        try:
            words = error_message(json.loads(self._body))
        except ValueError:
            words = self._body[:300].decode(errors="replace")
        return words or f"HTTP {self.framer.status} without a body"


def gateway_ns(server_timing: str) -> int | None:
    """What the entry `gateway;dur=MS` of a `Server-Timing` header says (W3C Server Timing), in ns; None without one."""
    for entry in server_timing.split(","):
        name, *words = (word.strip() for word in entry.split(";"))
        told = next((word[4:] for word in words if word.startswith("dur=")), "") if name == "gateway" else ""
        if _MILLISECONDS.fullmatch(told):
            return round(float(told) * 1e6)
    return None


def _since(stamp: int | None, origin_ns: int) -> int | None:
    return None if stamp is None else stamp - origin_ns
