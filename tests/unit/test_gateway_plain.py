"""What is read without httptools is what httptools reads: each message that is taken as plain, held against it."""

from typing import Any

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.corpus import CASES
from tokenforge.gateway.http.limits import Limits
from tokenforge.gateway.http.plain import plain_answer, plain_request

LIMITS = Limits()
PLAIN = b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
ANSWER = b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-length: 2\r\n\r\n{}"


class Heard:
    """What httptools calls back, message by message."""

    def __init__(self) -> None:
        self.ended = 0
        self.parser: Any = None
        self.keeps_open = False
        self.url = self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []

    def on_url(self, part: bytes) -> None:
        self.url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.ended += 1
        self.keeps_open = self.parser.should_keep_alive()


def read_by_httptools(data: bytes, kind: Any) -> tuple[Heard, Any]:
    heard = Heard()
    heard.parser = parser = kind(heard)
    parser.feed_data(data)
    return heard, parser


def check_request(data: bytes) -> bool:
    """Whether it was taken as plain; then httptools must read the same."""
    plain = plain_request(data, LIMITS)
    if plain is None:
        return False
    heard, parser = read_by_httptools(data, httptools.HttpRequestParser)
    assert (heard.ended, heard.keeps_open, parser.should_upgrade()) == (1, True, False)
    assert (parser.get_method(), parser.get_http_version()) == (b"POST", "1.1")
    head, fields, body = plain
    assert (heard.url, heard.body) == (head.raw_path, body)
    assert heard.headers == list(fields.items())
    return True


def check_answer(data: bytes) -> bool:
    plain = plain_answer(data)
    if plain is None:
        return False
    heard, parser = read_by_httptools(data, httptools.HttpResponseParser)
    assert (heard.ended, heard.keeps_open, parser.get_http_version()) == (1, True, "1.1")
    status, fields, body = plain
    assert (parser.get_status_code(), heard.body) == (status, body)
    assert heard.headers == list(fields.items())
    return True


def _lines(*more: bytes) -> st.SearchStrategy[bytes]:
    known = st.sampled_from(
        (
            b"Host: a", b"content-length: 2", b"Content-Length:2", b"Content-Length: 02", b"Content-Length: 2 ",
            b"Content-Length: +2", b"Connection: keep-alive", b"Connection: close", b"Transfer-Encoding: chunked",
            b"Upgrade: h2c", b"Expect: 100-continue", b"X: \xff", b"X : a", b" X: a", b"X:", b"X: a\tb", b"X: a\x00",
            b"Accept: */*", b"", b"X", *more,
        )
    )  # fmt: skip
    return st.lists(known | st.binary(max_size=12), max_size=6).map(b"\r\n".join)


FIRST = st.sampled_from(
    (
        b"POST /v1/completions HTTP/1.1", b"POST / HTTP/1.1", b"POST  / HTTP/1.1", b"post / HTTP/1.1",
        b"GET / HTTP/1.1", b"POST /a?b HTTP/1.1", b"POST /%2e HTTP/1.1", b"POST http://a/ HTTP/1.1",
        b"POST / HTTP/1.0", b"POST /",
        b"POST / HTTP/1.1 ", b"POST /a#b HTTP/1.1", b"\r\nPOST / HTTP/1.1",
    )
)  # fmt: skip
STATUS = st.sampled_from(
    (
        b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified",
        b"HTTP/1.1 100 Continue", b"HTTP/1.0 200 OK", b"HTTP/1.1 429 Too Many Requests", b"HTTP/1.1 999 x",
        b"HTTP/1.1  200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 200 \xff",
    )
)  # fmt: skip
BODY = st.sampled_from((b"{}", b"", b"{", b"{}{}", b"0\r\n\r\n"))


@given(first=FIRST, lines=_lines(), body=BODY)
@example(first=b"POST / HTTP/1.1", lines=b"Host: a\r\nContent-Length: 2", body=b"{}")
def test_a_plain_request_is_what_httptools_reads(first: bytes, lines: bytes, body: bytes) -> None:
    check_request(b"%b\r\n%b\r\n\r\n%b" % (first, lines, body))


@given(first=STATUS, lines=_lines(b"server: uvicorn"), body=BODY)
def test_a_plain_answer_is_what_httptools_reads(first: bytes, lines: bytes, body: bytes) -> None:
    check_answer(b"%b\r\n%b\r\n\r\n%b" % (first, lines, body))


@given(place=st.integers(0, len(PLAIN)), cut=st.integers(0, 3), put=st.binary(max_size=3))
def test_a_request_with_changed_bytes_is_plain_only_as_httptools_reads_it(place: int, cut: int, put: bytes) -> None:
    check_request(PLAIN[:place] + put + PLAIN[place + cut :])


@given(place=st.integers(0, len(ANSWER)), cut=st.integers(0, 3), put=st.binary(max_size=3))
def test_an_answer_with_changed_bytes_is_plain_only_as_httptools_reads_it(place: int, cut: int, put: bytes) -> None:
    check_answer(ANSWER[:place] + put + ANSWER[place + cut :])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_of_the_corpus_only_what_is_answered_is_plain(case: Any) -> None:
    if check_request(case.sent):
        assert case.statuses == (200,)


def test_what_clients_and_workers_send_is_plain() -> None:
    lines = b"host: a\r\nauthorization: Bearer x\r\ncontent-type: application/json\r\nconnection: keep-alive"
    assert check_request(b"POST /v1/chat/completions HTTP/1.1\r\n%b\r\ncontent-length: 2\r\n\r\n{}" % lines)
    assert check_answer(b"HTTP/1.1 429 Too Many Requests\r\nserver: uvicorn\r\ncontent-length: 2\r\n\r\n{}")


def test_lines_that_are_always_new_are_not_kept() -> None:
    for number in range(5_000):
        assert check_request(PLAIN.replace(b"Host: a", b"Host: a\r\nX: %d\r\nX-Request-ID: %d" % (number, number)))
