"""A proxy between client and worker that lies or remembers, as gateways do: run it as a process of its own.

`python meddling_proxy.py UPSTREAM_PORT usage:3` adds 3 to the completion tokens of every usage it passes on;
`... cache:0.2` answers every fifth prompt from what it answered first of all. Prints its port, serves until killed.
"""

import asyncio
import re
import sys

_USAGE = re.compile(rb'"completion_tokens":(\d+)')


class Proxy:
    """One HTTP/1.1 request at a time per connection; bodies by content-length, answers by chunks."""

    def __init__(self, upstream: int, mode: str) -> None:
        self._upstream = upstream
        self._kind, _, amount = mode.partition(":")
        self._amount = float(amount)
        self._served = 0
        self._first: bytes | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass requests on until the client leaves."""
        try:
            while request := await _read_request(reader):
                await self._answer(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        is_generation = request.startswith(b"POST")
        if is_generation and self._kind == "cache" and self._first is not None:
            self._served += 1
            if self._served * self._amount % 1 < self._amount:
                writer.write(self._first)
                await writer.drain()
                return
        reader, upstream = await asyncio.open_connection("127.0.0.1", self._upstream)
        upstream.write(request)
        whole = b""
        async for piece in _pieces(reader):
            changed = self._changed(piece) if is_generation else piece
            whole += changed
            writer.write(changed)
            await writer.drain()
        upstream.close()
        if is_generation and whole.startswith(b"HTTP/1.1 200") and self._first is None:
            self._first = whole

    def _changed(self, piece: bytes) -> bytes:
        """A piece is one HTTP chunk, so its size is written anew."""
        if self._kind != "usage" or b'"usage"' not in piece:
            return piece
        _, _, rest = piece.partition(b"\r\n")
        more = int(self._amount)
        body = _USAGE.sub(lambda found: b'"completion_tokens":%d' % (int(found[1]) + more), rest.removesuffix(b"\r\n"))
        return b"%x\r\n%b\r\n" % (len(body), body)


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: *(\d+)", head)
    return head + await reader.readexactly(int(found[1]) if found else 0)


async def _pieces(reader: asyncio.StreamReader):  # type: ignore[no-untyped-def]
    """The head, then the body: by length, or chunk by chunk until the empty one."""
    head = await reader.readuntil(b"\r\n\r\n")
    yield head
    found = re.search(rb"(?i)content-length: *(\d+)", head)
    if found:
        yield await reader.readexactly(int(found[1]))
        return
    size = -1
    while size:
        line = await reader.readuntil(b"\r\n")
        size = int(line, 16)
        yield line + await reader.readexactly(size + 2)


async def _main() -> None:
    proxy = Proxy(int(sys.argv[1]), sys.argv[2])
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
