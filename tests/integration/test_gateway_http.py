"""The HTTP server by itself, on real sockets: what it takes, refuses, bounds, and how it ends."""

import asyncio
import contextlib
import socket

import pytest
from http_rig import fits, on_uvloop, serving, until

from gateway.corpus import CASES
from tokenforge.domain.errors import Unauthorized
from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.http.limits import Limits

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
QUICK = Limits(head_s=0.3, body_s=0.3, idle_s=0.6, linger_s=0.3, stall_s=0.5)


@on_uvloop
async def test_every_case_of_the_corpus_is_answered_or_refused_as_it_says() -> None:
    async with serving() as served:

        async def seen(sent: bytes, number: int, is_refused: bool) -> tuple[int, ...]:
            client = await served.client()
            with contextlib.suppress(TimeoutError, ConnectionError):
                await client.send(sent)
                if not is_refused:
                    await client.answered(number)
                    client.writer.write_eof()
                await client.ended()
            return client.statuses()

        answers = await asyncio.gather(*(seen(c.sent, len(c.statuses), 0 in c.statuses) for c in CASES))
    assert {c.name: a for c, a in zip(CASES, answers, strict=True) if not fits(a, c.statuses)} == {}


async def test_pipelined_requests_are_answered_in_their_order_each_with_its_own() -> None:
    asked = b"".join(b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n%d" % (n, n) for n in range(9))
    async with serving() as served:
        client = await served.ask(asked)
        await client.until(lambda: len(client.bodies()) == 9)
    assert [(told["path"], told["body"]) for told in client.bodies()] == [(f"/{n}", str(n)) for n in range(9)]


@on_uvloop
async def test_a_thousand_requests_sent_ahead_are_all_answered() -> None:
    async with serving() as served:
        client = await served.ask(GET * 1000)
        assert await client.until(lambda: client.received.count(b'"method": "GET"') == 1000)


async def test_a_body_in_single_bytes_is_the_same_body() -> None:
    sent = POST + b"abc"
    async with serving() as served:
        client = await served.ask(*(sent[n : n + 1] for n in range(len(sent))))
    assert client.bodies()[0]["body"] == "abc"


@on_uvloop
async def test_the_refusal_of_a_large_body_reaches_a_client_that_is_still_sending() -> None:
    async with serving() as served:
        head = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n"
        client = await served.ask(head, b"a" * 8_000_000)
        assert client.statuses() == (413,)
        assert b'"code": "too_large"' in await client.ended()


async def test_a_chunked_body_is_counted_as_it_comes() -> None:
    async with serving() as served:
        served.app.body_limit = 10
        head = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        client = await served.ask(head, *[b"1\r\na\r\n"] * 11)
    assert client.statuses() == (413,)


async def test_who_is_refused_at_the_head_need_not_send_the_body() -> None:
    async with serving() as served:

        def refuse(exchange: Exchange) -> None:
            raise Unauthorized(f"no {exchange.head.path}")

        served.app.may_open = refuse
        client = await served.ask(POST + b"a")
        assert b"connection: close" in await client.ended()
    assert (client.statuses(), served.app.left_with) == ((401,), ["invalid_api_key"])


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"", ()), (b"GET /x HT", (408,)), (POST, (408,)), (b"\r\n", ()), (GET, (200,)), (b"GARBAGE\r\n\r\n", (400,))],
)
async def test_whoever_sends_nothing_more_is_told_or_closed(sent: bytes, status: tuple[int, ...]) -> None:
    async with serving(limits=QUICK) as served:
        client = await served.client()
        await client.send(sent)
        await client.ended()
    assert client.statuses() == status


async def test_a_head_that_trickles_has_no_more_time_than_one_that_stops() -> None:
    async with serving(limits=QUICK) as served:
        client = await served.client()
        ending = asyncio.create_task(client.ended())
        with contextlib.suppress(ConnectionError):
            for byte in GET * 10:
                await client.send(bytes([byte]))
                if (await asyncio.wait({ending}, timeout=0.05))[0]:
                    break
        await ending
        assert (client.statuses(), served.app.opened) == ((408,), 0)


@on_uvloop
async def test_beyond_its_connections_it_says_503_and_the_others_are_served() -> None:
    async with serving(limits=Limits(connections=2)) as served:
        first, second = await served.client(), await served.client()
        third = await served.ask(GET)
        assert third.statuses() == (503,)
        assert b"retry-after" in third.received
        await first.send(GET)
        await second.send(GET)
        assert (await first.answered(1), await second.answered(1)) == ((200,), (200,))


async def test_bodies_together_have_a_bound() -> None:
    async with serving(limits=Limits(all_bodies_bytes=10_000)) as served:
        held = await served.client()
        await held.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n" + b"a" * 8999)
        await until(lambda: served.server.body_bytes >= 8999)
        other = await served.ask(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n" + b"a" * 2000)
        assert other.statuses() == (503,)
        await held.send(b"a")
        assert await held.answered(1) == (200,)
    assert served.server.body_bytes == 0


@on_uvloop
async def test_a_client_that_leaves_ends_the_work_for_it() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work(exchange: Exchange) -> None:
        del exchange
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with serving(work) as served:
        client = await served.client()
        await client.send(GET)
        await begun.wait()
        client.writer.close()
        async with asyncio.timeout(1.0):
            await ended.wait()
    assert served.app.left_with == ["cancelled"]


@on_uvloop
async def test_a_client_gone_before_its_work_began_leaves_nothing_behind() -> None:
    async with serving() as served:
        for _ in range(20):
            client = await served.client()
            client.writer.write(POST + b"abc")
            sock = client.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.writer.close()
        await until(lambda: len(served.app.left_with) == served.app.opened and not served.server.body_bytes)


@on_uvloop
async def test_a_client_that_reads_nothing_holds_no_more_than_its_bound_and_is_given_up() -> None:
    sizes: list[int] = []

    async def pour(exchange: Exchange) -> None:
        exchange.begin(200, b"", length=None)
        while True:
            exchange.write(b"a" * 65536)
            sizes.append(exchange.sent_bytes)
            await exchange.drained()

    async with serving(pour, limits=QUICK) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
        writer.write(GET)
        await until(lambda: bool(served.app.left_with))
        writer.close()
        del reader
    assert max(sizes) < 16 << 20  # what the kernel's own buffers hold, and our 64 KiB
    assert served.app.left_with == ["cancelled"]


@on_uvloop
async def test_an_answer_that_is_not_ended_is_not_taken_for_whole() -> None:
    async def half(exchange: Exchange) -> None:
        exchange.begin(200, b"", length=None)
        exchange.write(b"half")

    async with serving(half) as served:
        client = await served.ask(GET)
        received = await client.ended()
    assert received.endswith(b"4\r\nhalf\r\n")


async def test_work_that_fails_unforeseen_is_500_and_says_nothing_of_its_inside() -> None:
    async def fail(exchange: Exchange) -> None:
        raise RuntimeError(f"secret of {exchange.head.path}")

    async with serving(fail) as served:
        client = await served.ask(GET)
        received = await client.ended()
    assert client.statuses() == (500,)
    assert b"secret" not in received


async def test_http_1_0_gets_a_body_that_ends_with_the_connection() -> None:
    async def stream(exchange: Exchange) -> None:
        exchange.begin(200, b"", length=None)
        exchange.write(b"one")
        exchange.write(b"two")
        exchange.end()

    async with serving(stream) as served:
        client = await served.ask(b"GET /x HTTP/1.0\r\n\r\n")
        assert (await client.ended()).endswith(b"connection: close\r\n\r\nonetwo")


async def test_head_gets_the_head_alone() -> None:
    async with serving() as served:
        client = await served.ask(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n" + GET, answers=2)
    assert client.received.count(b"content-length: ") == 2
    assert len(client.bodies()) == 1


@on_uvloop
async def test_the_end_lets_an_answer_finish_and_says_so_on_it() -> None:
    gate = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await gate.wait()
        exchange.whole(200, b"", b"done")

    async with serving(wait, limits=QUICK) as served:
        idle, busy = await served.client(), await served.client()
        await busy.send(GET)
        await until(lambda: served.app.opened > 0)
        ending = asyncio.create_task(served.server.end(limit_s=5.0))
        assert await idle.ended() == b""
        gate.set()
        assert b"connection: close" in await busy.ended()
        await ending
    assert busy.received.endswith(b"done")
