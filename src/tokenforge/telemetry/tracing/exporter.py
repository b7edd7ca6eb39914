"""Sends spans in batches from a thread of its own, so that no request ever waits for a receiver.

What can't be sent is dropped and said once: a receiver that is away or slow must not fill the memory of who is traced,
nor hold up its end.
"""

import logging
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from tokenforge.telemetry.tracing.otlp import export_request
from tokenforge.telemetry.tracing.span import Span, Value

_log = logging.getLogger(__name__)

MOST_WAITING = 4096
_BATCH = 512
_EVERY_S = 1.0
_SEND_LIMIT_S = 5.0
_UNWELL_LIMIT_S = 0.5

Send = Callable[[bytes], None]


class Exporter:
    """Takes spans; `close` sends what is left. `send` may raise OSError."""

    def __init__(self, send: Send, *, resource: Mapping[str, Value], version: str, every_s: float = _EVERY_S) -> None:
        self._send = send
        self._resource = resource
        self._scope = ("tokenforge", version)
        self._every_s = every_s
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self._waiting: deque[Span] = deque()
        self._stop = threading.Event()
        self._is_well = True
        self.dropped = 0
        self._too_many = 0
        self._is_slow_said = False
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)
        self._thread.start()

    def take(self, spans: Sequence[Span]) -> None:
        """Queue them; when too many wait they are dropped and counted."""
        if len(self._waiting) + len(spans) > MOST_WAITING:
            self.dropped += len(spans)
            self._too_many += len(spans)
            return
        self._waiting.extend(spans)

    def close(self) -> None:
        """Send what waits, and stop; a receiver that did not take the last ones is not asked again."""
        self._stop.set()
        self._thread.join(_SEND_LIMIT_S + self._every_s if self._is_well else _UNWELL_LIMIT_S)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._flush()
            self._say_too_many()
        if self._is_well:
            self._flush()
        self.dropped += len(self._waiting)

    def _say_too_many(self) -> None:
        """Once: the receiver answers, and takes less than there is."""
        if self._too_many and self._is_well and not self._is_slow_said:
            self._is_slow_said = True
            _log.warning("more traces come than the receiver takes; %d spans were dropped so far", self._too_many)

    def _flush(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            body = export_request(batch, resource=self._resource, scope=self._scope, unix_offset_ns=self._offset_ns)
            try:
                self._send(body)
            except (OSError, ValueError) as error:
                self.dropped += len(batch)
                if self._is_well:
                    _log.warning("traces cannot be sent and are dropped until they can: %s", error)
                self._is_well = False
                return
            if not self._is_well:
                _log.info("traces are sent again; %d spans were lost", self.dropped)
            self._is_well = True


def post_to(url: str, headers: Mapping[str, str]) -> Send:
    """Sends by HTTP to an OTLP receiver."""
    whole = {**headers, "content-type": "application/x-protobuf"}

    def send(body: bytes) -> None:
        request = urllib.request.Request(url, data=body, headers=whole, method="POST")
        # the status is all that counts: an answer without end is not read
        urllib.request.urlopen(request, timeout=_SEND_LIMIT_S).close()

    return send
