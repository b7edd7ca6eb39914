"""Events out of a byte stream: the same whatever the cuts, each with the stamp of the read that completed it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.bench.driver.http1 import ResponseFramer
from tokenforge.bench.driver.sse import EventSplitter, lone_event

STREAM = b': hello\n\ndata: {"a":1}\n\nevent: x\nid: 4\ndata: two\r\ndata: lines\r\n\r\ndata:[DONE]\r\r'
EVENTS = [b'{"a":1}', b"two\nlines", b"[DONE]"]


def events(*pieces: bytes) -> list[tuple[bytes, int]]:
    """Events of `pieces`, piece i read at stamp i."""
    splitter = EventSplitter()
    return [event for stamp, piece in enumerate(pieces) for event in splitter.feed(piece, stamp)]


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=10))
def test_any_cuts_give_the_same_events(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = (STREAM[start:end] for start, end in pairwise(edges))
    assert [data for data, _ in events(*pieces)] == EVENTS


def test_an_event_has_the_stamp_of_the_read_that_completed_it() -> None:
    assert events(b"data: a\n", b"\ndata: b\n\nda", b"ta: c\n\n") == [(b"a", 1), (b"b", 1), (b"c", 2)]


def test_a_plain_event_per_read_is_taken_as_it_is() -> None:
    assert events(b"data: a\n\n", b"data: b\n\n") == [(b"a", 0), (b"b", 1)]


def test_an_event_without_data_is_none() -> None:
    assert events(b": ping\n\nevent: x\n\nretry: 3\n\n") == []


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\r\n\n"])
def test_every_kind_of_line_end_is_one(end: bytes) -> None:
    assert events(b"data: a" + end + b"data: b" + end) == [(b"a", 0), (b"b", 0)]


def test_one_crlf_is_no_blank_line() -> None:
    assert events(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [(b"a\nb", 2)]


def test_only_one_space_after_the_colon_is_dropped() -> None:
    assert events(b"data:  a\n\ndata:b\n\n") == [(b" a", 0), (b"b", 0)]


def test_an_unfinished_event_is_left_over_not_given() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: [DONE]\n", 0) == []
    assert splitter.leftover == b"[DONE]"


@given(st.binary(max_size=60))
def test_a_lone_event_is_what_framing_and_splitting_would_give(data: bytes) -> None:
    chunk = b"%x\r\n%b\r\n" % (len(data) + 8, b"data: " + data + b"\n\n")
    event = lone_event(chunk)
    if event is not None:
        framer = ResponseFramer()
        framer.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert EventSplitter().feed(framer.feed(chunk), 1) == [(event, 1)]
        assert framer.is_between_chunks


def test_the_usual_read_is_a_lone_event() -> None:
    assert lone_event(b'f\r\ndata: {"a":1}\n\n\r\n') == b'{"a":1}'


@pytest.mark.parametrize(
    "chunk",
    [
        b'e\r\ndata: {"a":1}\n\n\r\n',
        b'0f\r\ndata: {"a":1}\n\n\r\n',
        b'f;x=1\r\ndata: {"a":1}\n\n\r\n',
        b"f\r\nevent: x\nb: 1\n\n\r\n",
        b'f\r\ndata: {"a":1}\n\n\r\n0\r\n\r\n',
        b'f\r\ndata: {"a":\n}\n\n\r\n',
        b"8\r\ndata: \n\n\r\n",
        b"0\r\n\r\n",
    ],
)
def test_what_is_no_lone_event_is_left_to_the_slow_path(chunk: bytes) -> None:
    assert lone_event(chunk) is None
