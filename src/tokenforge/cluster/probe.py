"""Does a worker answer? One small HTTP request on a connection of its own; any answer at all is one."""

import asyncio
import contextlib
from urllib.parse import urlsplit


async def answers(url: str, *, limit_s: float) -> bool:
    """Whether it answers `/health/ready` in time, with whatever status. A stopped process still takes connections."""
    place = urlsplit(url)
    try:
        async with asyncio.timeout(limit_s):
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            try:
                writer.write(b"GET /health/ready HTTP/1.1\r\nhost: worker\r\nconnection: close\r\n\r\n")
                return (await reader.readline()).startswith(b"HTTP/1.")
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (OSError, TimeoutError, ValueError):
        return False
