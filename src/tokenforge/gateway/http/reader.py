"""Bytes of a connection to requests, by httptools: a head, the parts of its body, its end; within the limits of a head.

The reader belongs to one connection and tells it what has come. What is no HTTP/1.1 raises, and then nothing more may
be fed.
"""

import logging
from typing import TYPE_CHECKING, Any

import httptools

from tokenforge.domain.errors import TokenForgeError
from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.http.head import Headers, Refused, head_bytes, read_head
from tokenforge.protocol.problem import Problem, problem_of

if TYPE_CHECKING:
    from tokenforge.gateway.http.connection import Connection

_log = logging.getLogger(__name__)

UNREADABLE = (Refused, httptools.HttpParserError)
"""What `feed` raises for bytes that are refused; `problem_in` says why."""


class RequestReader:
    """`exchange` is the request whose body is being read; `is_in_head`: a head has begun and is not whole.

    While neither is so the parser stands between two requests, and need not see one that is plain (`plain`).
    """

    def __init__(self, connection: "Connection") -> None:
        self.exchange: Exchange | None = None
        self.is_in_head = False
        self._connection = connection
        self._limits = connection.server.limits
        self._parser: Any = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: Headers = []
        self._head_bytes = self._fed_bytes = 0

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; False when whatever follows is not HTTP any more. Raises `UNREADABLE`."""
        self._fed_bytes = len(data)
        if self.is_in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return False
        if self._head_bytes > self._limits.head_bytes:
            raise self._head_too_large()
        return True

    def end(self) -> None:
        """Nothing more is fed. The parser holds this, so it lets go of it, or only the collector would."""
        del self._parser

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self.is_in_head = True
        self._connection.head_begins()

    def on_url(self, part: bytes) -> None:
        """The request's target, or a part of it."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; after the head it is a trailer, and dropped."""
        if self.is_in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """A head is whole. Raises Refused, and TokenForgeError as the application refuses."""
        limits, parser = self._limits, self._parser
        target, headers, self._target, self._headers = self._target, self._headers, b"", []
        if self._head_bytes + self._fed_bytes > limits.head_bytes and head_bytes(target, headers) > limits.head_bytes:
            raise self._head_too_large()
        self.is_in_head = False
        self._head_bytes = 0
        method, version = parser.get_method(), parser.get_http_version()
        head, fields = read_head(method=method, version=version, target=target, headers=headers, limits=limits)
        self.exchange = exchange = Exchange(self._connection, head, fields, headers)
        self._connection.asked(exchange)

    def on_body(self, part: bytes) -> None:
        """A part of a body. Raises Refused, TooLarge."""
        if self.exchange is not None:
            self.exchange.add(part)
            self._connection.grown(self.exchange, len(part))

    def on_message_complete(self) -> None:
        """A request is whole."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.complete(is_last=not self._parser.should_keep_alive())
            self._connection.completed(exchange)

    def _head_too_large(self) -> Refused:
        return Refused(431, f"the head has more than {self._limits.head_bytes} bytes", code="too_large")


def problem_in(error: Exception) -> Problem:
    """What to say of what `feed` raised: an error of the grammar, or one that was raised while it called back."""
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    if isinstance(cause, Refused):
        return cause.problem
    if isinstance(cause, TokenForgeError):
        return problem_of(cause)
    if isinstance(cause, httptools.HttpParserError):
        return Refused(400, f"this is not HTTP/1.1: {cause}").problem
    _log.error("reading a request failed unforeseen", exc_info=error)
    return problem_of(error)
