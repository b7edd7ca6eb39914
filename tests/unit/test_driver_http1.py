"""HTTP framing: whatever the cuts, the same body; whatever breaks the grammar, a name for it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.bench.driver.http1 import ResponseFramer

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = CHUNKED + b"5\r\nhello\r\n1a;ext=1\r\nabcdefghijklmnopqrstuvwxyz\r\n3\r\n\r\n0\r\n0\r\n\r\n"


def fed(*pieces: bytes) -> tuple[ResponseFramer, bytes]:
    """A framer after `pieces`, and the body it gave."""
    framer = ResponseFramer()
    return framer, b"".join([framer.feed(piece) for piece in pieces])


@given(st.lists(st.integers(min_value=0, max_value=len(WHOLE)), max_size=12))
def test_any_cuts_give_the_same_body(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    framer, body = fed(*(WHOLE[a:b] for a, b in pairwise(edges)))
    assert (framer.error, framer.done, body) == (None, True, b"helloabcdefghijklmnopqrstuvwxyz\r\n0")


def test_single_bytes_give_the_same_body() -> None:
    framer, body = fed(*(bytes([byte]) for byte in WHOLE))
    assert (framer.error, framer.done, body) == (None, True, b"helloabcdefghijklmnopqrstuvwxyz\r\n0")


def test_a_counted_body_ends_at_its_length() -> None:
    framer, body = fed(b"HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\nab", b"cd")
    assert (framer.status, framer.done, framer.keep_alive, body) == (500, True, True, b"abcd")


def test_an_empty_counted_body_is_done_with_the_header() -> None:
    framer, _ = fed(b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n")
    assert framer.done


def test_a_body_without_length_ends_with_the_connection() -> None:
    framer, body = fed(b"HTTP/1.0 200 OK\r\n\r\nab", b"cd")
    assert (framer.done, framer.ends_by_close) == (False, True)
    framer.end_of_file()
    assert (framer.done, framer.keep_alive, body) == (True, False, b"abcd")


def test_a_cut_chunked_body_is_not_done() -> None:
    framer, _ = fed(WHOLE[:-2])
    framer.end_of_file()
    assert (framer.done, framer.error) == (False, None)


def test_trailers_are_read_over() -> None:
    framer, body = fed(CHUNKED + b"1\r\na\r\n0\r\nX-Sum: 1\r", b"\n\r\n")
    assert (framer.done, framer.error, body) == (True, None, b"a")


def test_an_interim_response_is_skipped() -> None:
    framer, _ = fed(b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED)
    assert (framer.status, framer.is_chunked) == (200, True)


def test_connection_close_is_heard() -> None:
    framer, _ = fed(b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n")
    assert not framer.keep_alive


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"SSH-2.0-OpenSSH\r\n", "not an HTTP/1 response"),
        (b"HTTP/2 200\r\n\r\n", "bad status line"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "bad status line"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "bad header line"),
        (b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n", "bad header line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "bad Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "bad Content-Length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "unknown transfer coding"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab", "more body bytes"),
        (b"HTTP/1.1 204 None\r\n\r\nx", "bytes after the end"),
        (CHUNKED + b"zz\r\n", "bad chunk size line"),
        (CHUNKED + b"0x5\r\nhello\r\n", "bad chunk size line"),
        (CHUNKED + b"-5\r\n", "bad chunk size line"),
        (CHUNKED + b"5\r\nhelloXX", "closing CRLF"),
        (CHUNKED + b"5\r\nhello\rX", "closing CRLF"),
        (CHUNKED + b"0\r\n\r\nHTTP/1.1 200 OK\r\n", "bytes after the end"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000, "header block over"),
    ],
)
def test_what_breaks_the_grammar_is_named(raw: bytes, reason: str) -> None:
    framer, _ = fed(raw)
    assert reason in (framer.error or "")
    assert not framer.done
    assert not framer.keep_alive


def test_bytes_after_a_whole_response_are_an_error() -> None:
    framer, _ = fed(WHOLE, b"x")
    assert framer.error == "bytes after the end of the response"
