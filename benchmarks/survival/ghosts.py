"""Clients that connect and vanish: before they asked, half-way through their request, or in the midst of an answer.

They speak HTTP by hand, because a client library would close politely. Half of them close, half of them reset.
"""

import asyncio
import contextlib
import enum
import json
import random
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field

from survival.asking import request_of

_LINGER_NONE = struct.pack("ii", 1, 0)
_ANSWER_LIMIT_S = 30.0
_READ_BYTES = 4096


class Manner(enum.StrEnum):
    """When it leaves."""

    AT_ONCE = "at once"
    IN_HEAD = "in its head"
    IN_BODY = "in its body"
    UNANSWERED = "before the answer"
    ANSWERED = "in the answer"
    SATISFIED = "after the answer"


_WEIGHTS = {
    Manner.AT_ONCE: 1, Manner.IN_HEAD: 1, Manner.IN_BODY: 1, Manner.UNANSWERED: 4, Manner.ANSWERED: 6,
    Manner.SATISFIED: 1,
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Ghosts:
    """`clients` at a time, each coming back as another. `left` counts how they went, `refused` who was not let in."""

    host: str
    port: int
    model: str
    runtime: str
    clients: int
    seed: int
    most_tokens: int
    left: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    async def haunt(self, seconds: float) -> None:
        """Do it for so long; at the end all vanish at once."""
        haunting = [asyncio.create_task(self._come_and_go(number)) for number in range(self.clients)]
        await asyncio.sleep(seconds)
        for task in haunting:
            task.cancel()
        for end in await asyncio.gather(*haunting, return_exceptions=True):
            if isinstance(end, Exception):
                raise end

    async def _come_and_go(self, number: int) -> None:
        chance = random.Random(f"{self.seed}/{number}")
        while True:
            manner = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
            try:
                await self._visit(manner, chance)
                self.left[manner] += 1
            except ConnectionRefusedError:
                self.refused += 1
                await asyncio.sleep(0.1)
            except OSError:
                self.left["cut off"] += 1

    async def _visit(self, manner: Manner, chance: random.Random) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            await self._behave(manner, chance, reader, writer)
        finally:
            if chance.random() < 0.5:
                _reset(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _behave(
        self, manner: Manner, chance: random.Random, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head, body = self._request(chance)
        if manner is Manner.AT_ONCE:
            return
        writer.write(head[: len(head) // 2] if manner is Manner.IN_HEAD else head)
        if manner is Manner.IN_BODY:
            writer.write(body[: len(body) // 2])
        if manner in (Manner.IN_HEAD, Manner.IN_BODY):
            await asyncio.sleep(chance.uniform(0.0, 0.2))
            return
        writer.write(body)
        await writer.drain()
        if manner is Manner.UNANSWERED:
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            return
        await self._read(reader, parts=chance.randint(1, 6) if manner is Manner.ANSWERED else None)

    async def _read(self, reader: asyncio.StreamReader, *, parts: int | None) -> None:
        """So many parts of the answer, or all of it (the server closes then)."""
        async with asyncio.timeout(_ANSWER_LIMIT_S):
            while (parts is None or parts > 0) and await reader.read(_READ_BYTES):
                parts = None if parts is None else parts - 1

    def _request(self, chance: random.Random) -> tuple[bytes, bytes]:
        path, content = request_of(self.model, chance)
        content["max_tokens"] = chance.randint(1, self.most_tokens)
        body = json.dumps(content).encode()
        lines = (
            f"POST {path} HTTP/1.1", f"host: {self.host}:{self.port}", "content-type: application/json",
            f"x-tokenforge-runtime: {self.runtime}", "connection: close", f"content-length: {len(body)}", "", "",
        )  # fmt: skip
        return "\r\n".join(lines).encode(), body


def _reset(writer: asyncio.StreamWriter) -> None:
    """Let the end be a reset instead of a close."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
