"""Server-sent events, however the bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.protocol.sse import SseEvent, SseParser, encode_event

STREAM = (
    b'\xef\xbb\xbf: hello\n\ndata: {"a": 1}\r\n\r\nevent: token\rdata: x\rdata:  y\r\rid: 3\ndata\n\ndata: \xc3\xa9\n\n'
)
EVENTS = [
    SseEvent(data='{"a": 1}'),
    SseEvent(data="x\n y", event="token"),
    SseEvent(data=""),
    SseEvent(data="é"),
]


def test_a_whole_stream_gives_its_events() -> None:
    assert SseParser().feed(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_any_cutting_gives_the_same_events(cuts: list[int]) -> None:
    parser, edges = SseParser(), [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    assert [event for piece in pieces for event in parser.feed(piece)] == EVENTS


def test_one_byte_at_a_time_gives_the_same_events() -> None:
    parser = SseParser()
    assert [event for byte in STREAM for event in parser.feed(bytes([byte]))] == EVENTS


def test_an_unfinished_event_is_held_back() -> None:
    assert SseParser().feed(b"data: half\n") == []


def test_an_event_past_the_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        SseParser(max_event_bytes=10).feed(b"data: 12345678901")


@given(
    st.text(alphabet=st.characters(exclude_characters="\r", exclude_categories=["Cs"])), st.sampled_from(["", "done"])
)
def test_what_is_encoded_comes_back(data: str, name: str) -> None:
    assert SseParser().feed(encode_event(data, event=name)) == [SseEvent(data=data, event=name)]


def test_a_line_end_in_an_event_name_is_refused() -> None:
    with pytest.raises(ValueError, match="line ends"):
        encode_event("x", event="a\nb")


def test_an_event_that_ends_in_carriage_returns_does_not_wait_for_the_next_byte() -> None:
    parser = SseParser()
    assert parser.feed(b"data: x\r\r") == [SseEvent(data="x")]
    assert parser.feed(b"\ndata: y\r\n\r\n") == [SseEvent(data="y")]


def test_empty_data_lines_without_end_are_refused_too() -> None:
    with pytest.raises(ValueError, match="larger than 10 bytes"):
        SseParser(max_event_bytes=10).feed(b"data:\n" * 20)
