"""The client towards workers, on real sockets, against workers of bare bytes; and streams from end to end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from http_rig import on_uvloop, serving, until
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.gateway.http.exchange import Exchange
from tokenforge.gateway.upstream import Upstream
from tokenforge.gateway.upstream_answer import UpstreamAnswer, UpstreamFailed
from tokenforge.gateway.upstream_connection import is_whole

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


async def request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


@asynccontextmanager
async def worker(serve: Serve) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None] | None] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for task in tasks:
        assert task is not None
        task.cancel()


@asynccontextmanager
async def pool() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    yield upstream
    await upstream.close()


async def ask(upstream: Upstream, url: str, body: bytes = b"{}") -> UpstreamAnswer:
    return await upstream.ask(url, "/v1/x", body=body, headers=b"x-a: b\r\n")


async def whole(upstream: Upstream, url: str) -> bytes:
    answer = await ask(upstream, url)
    try:
        return await answer.whole()
    finally:
        answer.close()


def answering(*parts: bytes) -> tuple[Serve, list[int]]:
    """A worker that answers each request with these bytes; the list has the number of requests of each connection."""
    served: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(0)
        number = len(served) - 1
        while True:
            await request(reader)
            served[number] += 1
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.001)

    return serve, served


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe", b"llo"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + b"2\r\nhe\r\n", b"3;x\r\nllo\r\n0\r\n\r\n"),
        (HEAD, b"5\r\nhel", b"lo\r\n", b"0\r\nt: r\r\n\r\n"),
    ],
)
async def test_an_answer_is_whole_however_it_is_framed_and_cut_and_its_connection_is_kept(
    parts: tuple[bytes, ...],
) -> None:
    serve, served = answering(*parts)
    async with worker(serve) as url, pool() as upstream:
        for _ in range(3):
            assert await whole(upstream, url) == b"hello"
    assert served == [3]


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", HEAD + b"2\r\nok\r\n0\r\n\r\n"])
async def test_a_second_answer_that_nobody_asked_for_is_given_to_nobody(first: bytes) -> None:
    serve, served = answering(first + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother")
    async with worker(serve) as url, pool() as upstream:
        for _ in range(3):
            assert await whole(upstream, url) == b"ok"
    assert served == [1, 1, 1]


async def test_an_answer_without_length_ends_with_its_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nto the end")

    async with worker(serve) as url, pool() as upstream:
        assert await whole(upstream, url) == b"to the end"


@on_uvloop
async def test_a_kept_connection_that_closed_in_that_moment_is_no_failure() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        await reader.read(1)  # the next request has come, and is not answered

    async with worker(serve) as url, pool() as upstream:
        for _ in range(3):
            assert await whole(upstream, url) == b"ok"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe",
        HEAD + b"5\r\nhe",
        HEAD + b"2\r\nhe\r\n",
        b"SSH-2.0\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)
async def test_an_answer_that_breaks_off_or_is_no_http_has_failed(said: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(said)

    async with worker(serve) as url, pool() as upstream:
        with pytest.raises(UpstreamFailed):
            await whole(upstream, url)


async def test_nobody_there_is_a_failure_with_its_cause() -> None:
    async with pool() as upstream:
        with pytest.raises(UpstreamFailed, match="efused"):
            await ask(upstream, "http://127.0.0.1:1")


@on_uvloop
async def test_closing_an_answer_early_closes_its_connection() -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(HEAD + b"2\r\nhe\r\n")
        await reader.read()
        gone.set()

    async with worker(serve) as url, pool() as upstream:
        answer = await ask(upstream, url)
        answer.close()
        async with asyncio.timeout(1.0):
            await gone.wait()


@on_uvloop
async def test_a_client_that_reads_nothing_pauses_the_worker() -> None:
    written = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await request(reader)
        writer.write(HEAD)
        while True:
            writer.write(b"10000\r\n" + b"a" * 65536 + b"\r\n")
            await writer.drain()
            written += 65536

    async with worker(serve) as url, pool() as upstream:

        async def pass_on(exchange: Exchange) -> None:
            answer = await ask(upstream, url)
            exchange.begin(200, b"", length=None)
            try:
                await answer.pass_to(exchange)
            finally:
                answer.close()

        async with serving(pass_on) as served:
            _, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
            writer.write(GET)
            before = -1
            while before < written or not written:
                before = written
                await asyncio.sleep(0.3)
            writer.close()
            await until(lambda: bool(served.app.left_with))
    assert written < 32 << 20  # what four sockets' buffers in the kernel hold; our own hold 64 KiB


@on_uvloop
async def test_hundreds_of_streams_at_once_are_byte_for_byte_what_their_worker_sent() -> None:
    def events(number: int) -> list[bytes]:
        return [b"data: %d-%d %s\n\n" % (number, step, b"x" * (number * 7 % 300)) for step in range(20)]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            number = int((await request(reader)).rpartition(b"\r\n")[2])
            framed = HEAD + b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events(number)) + b"0\r\n\r\n"
            for start in range(0, len(framed), size := 40 + number % 400):
                writer.write(framed[start : start + size])
                await writer.drain()
                await asyncio.sleep(0)

    async with worker(serve) as url, pool() as upstream:

        async def pass_on(exchange: Exchange) -> None:
            answer = await ask(upstream, url, exchange.body)
            try:
                await answer.first()
                exchange.begin(200, b"", length=None)
                await answer.pass_to(exchange)
                exchange.end()
            finally:
                answer.close()

        async with serving(pass_on) as served:

            async def one(number: int) -> bool:
                body = str(number).encode()
                client = await served.client()
                await client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
                await client.until(lambda: client.received.endswith(b"\r\n0\r\n\r\n"), limit_s=60)
                return _dechunked(client.received.partition(b"\r\n\r\n")[2]) == b"".join(events(number))

            assert all(await asyncio.gather(*(one(number) for number in range(300))))


def _dechunked(data: bytes) -> bytes:
    parts: list[bytes] = []
    while True:
        size, _, rest = data.partition(b"\r\n")
        if not (length := int(size, 16)):
            return b"".join(parts)
        parts.append(rest[:length])
        data = rest[length + 2 :]


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), st.data())
def test_whole_chunks_are_told_from_cut_ones(parts: list[bytes], data: st.DataObject) -> None:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    assert is_whole(framed)
    cut = data.draw(st.integers(1, len(framed) - 1))
    ends = {len(b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts[:n])) for n in range(len(parts))}
    assert is_whole(framed[:cut]) == (cut in ends)


ODD_SIZES = (b"+2", b" 2", b"2 ", b"0x2", b"2;x", b"", b"-2", b"2_", b"000000002")


@pytest.mark.parametrize(
    "data",
    [b"", b"0\r\n\r\n", b"2\r\nabc\r\n", b"1_0\r\n%b\r\n" % bytes(16), *(size + b"\r\nab\r\n" for size in ODD_SIZES)],
)
def test_what_is_not_whole_plain_chunks_is_left_to_the_parser(data: bytes) -> None:
    assert not is_whole(data)
