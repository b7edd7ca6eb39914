"""The server under fire: the corpus beside a real nginx, streams by the hundred, requests cut and changed at random."""

import asyncio
import time
from collections.abc import Sequence

import pytest
from http_rig import on_uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.corpus import CASES
from gateway.fire import differences_from_nginx, random_bytes
from gateway.streams import differing_streams
from gateway.wire import Echo, Heard, Wire, hear
from tokenforge.gateway.http.connection import Connection
from tokenforge.gateway.http.server import HttpServer

PATHS = st.text(alphabet="abc/%2e.", max_size=6).map(lambda text: f"/{text}")
BODIES = st.binary(max_size=60)


@on_uvloop
async def test_what_two_parsers_may_read_differently_is_refused_where_nginx_refuses_it() -> None:
    differences = await differences_from_nginx()
    if differences is None:
        pytest.skip("nginx is not installed")
    assert [line for line in differences if "DIFFERS" in line] == []


@on_uvloop
async def test_hundreds_of_streams_at_once_are_byte_for_byte_what_their_worker_sent() -> None:
    assert await differing_streams(300) == 0


@on_uvloop
async def test_bytes_changed_at_random_end_in_an_answer_or_a_refusal() -> None:
    assert await random_bytes(seconds=2.0, seed=7) > 10


async def test_a_connection_that_closed_under_its_answer_is_looked_at_like_any_other() -> None:
    server = HttpServer(Echo(), new_id=lambda: "id", clock=time.monotonic, wall_s=lambda: 0.0)
    connection, wire = Connection(server), Wire()
    connection.connection_made(wire)
    connection.data_received(counted(1, b"a").replace(b"Host: a", b"Host: a\r\nConnection: close"))
    wire.is_ended = True
    for _ in range(5):
        await asyncio.sleep(0)
    connection.check(server.now_s + 1000.0)
    connection.connection_lost(None)
    await server.end(limit_s=0.0)


def heard(pieces: Sequence[bytes]) -> Heard:
    return asyncio.run(hear(pieces))


@st.composite
def conversations(draw: st.DrawFn) -> tuple[list[bytes], list[tuple[str, str]]]:
    """Requests on one connection, cut at random, and what each must be told."""
    asked = draw(st.lists(st.tuples(st.integers(0, 999), BODIES, st.booleans()), min_size=1, max_size=6))
    sent = b"".join(chunked(n, body) if is_chunked else counted(n, body) for n, body, is_chunked in asked)
    cuts = sorted(draw(st.lists(st.integers(0, len(sent)), max_size=12)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    return [piece for piece in pieces if piece], [(f"/{n}", body.decode("latin-1")) for n, body, _ in asked]


def counted(number: int, body: bytes) -> bytes:
    return b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (number, len(body), body)


def chunked(number: int, body: bytes) -> bytes:
    parts = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part)
    return b"POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (number, parts)


@settings(max_examples=60)
@given(conversations())
def test_however_requests_are_cut_each_gets_its_own_answer(
    conversation: tuple[list[bytes], list[tuple[str, str]]],
) -> None:
    pieces, expected = conversation
    answer = heard(pieces)
    assert [(path, body) for _, path, body in answer.told] == expected
    assert (set(answer.statuses), answer.is_ended, answer.kept) == ({200}, False, 0)


@settings(max_examples=60)
@given(st.sampled_from(CASES), st.data())
def test_a_case_means_the_same_however_it_is_cut(case: object, data: st.DataObject) -> None:
    sent = case.sent  # type: ignore[attr-defined]
    cut = data.draw(st.integers(1, len(sent) - 1))
    assert heard([sent[:cut], sent[cut:]]).statuses == heard([sent]).statuses
