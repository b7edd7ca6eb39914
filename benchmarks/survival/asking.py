"""Clients that ask without pause and tell how each request ended, by name.

A request has ended well (`ok`) only when its answer is whole. All else has a name: the code in the platform's own
answer or in the last event of a stream, or what the client saw: `connection_lost`, `refused`, `cut` (the stream's end
is missing and no error was told), `unnamed` (an error without a code), `no_answer` (none by the deadline).
"""

import asyncio
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

DEADLINE_S = 20.0
_SLACK_S = 2.0
_PAUSE_S = 0.05
_AFTER_ERROR_S = 0.5
LOST = "connection_lost"
NEVER = frozenset({"refused", "cut", "unnamed", "no_answer"})
"""Ends that no request may have, whatever was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How one request ended: when (Unix seconds), and `ok` or the name of what went wrong."""

    began_s: float
    ended_s: float
    outcome: str


@dataclass(slots=True, kw_only=True)
class Askers:
    """`clients` of them for one model. `ended` has every request that is over."""

    url: str
    model: str
    clients: int
    seed: int
    ended: list[Asked] = field(default_factory=list)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, session: aiohttp.ClientSession) -> None:
        """Start asking."""
        for number in range(self.clients):
            chance = random.Random(f"{self.seed}/{number}")
            self._tasks.append(asyncio.create_task(self._ask_on(session, chance)))

    async def end(self) -> None:
        """Ask no more; those in flight end first."""
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _ask_on(self, session: aiohttp.ClientSession, chance: random.Random) -> None:
        while not self._stop.is_set():
            began_s = time.time()
            outcome = await ask(session, self.url, *request_of(self.model, chance))
            self.ended.append(Asked(began_s=began_s, ended_s=time.time(), outcome=outcome))
            await asyncio.sleep(_PAUSE_S * chance.random() if outcome == "ok" else _AFTER_ERROR_S)


def request_of(model: str, chance: random.Random) -> tuple[str, dict[str, object]]:
    """A path and a body: of any of the three ways to ask, whole or as a stream, short or long."""
    body: dict[str, object] = {"model": model, "max_tokens": chance.randint(4, 120), "stream": chance.random() < 0.5}
    path = chance.choice(("/infer", "/v1/completions", "/v1/chat/completions"))
    prompt = f"{chance.random()} " * chance.randint(1, 8)
    if path.endswith("chat/completions"):
        return path, {**body, "messages": [{"role": "user", "content": prompt}]}
    return path, {**body, "prompt": prompt}


async def ask(session: aiohttp.ClientSession, url: str, path: str, body: Mapping[str, object]) -> str:
    """Ask once; how it ended."""
    headers = {"x-tokenforge-timeout-s": f"{DEADLINE_S:g}"}
    limit = aiohttp.ClientTimeout(total=DEADLINE_S + _SLACK_S)
    try:
        async with session.post(url + path, json=body, headers=headers, timeout=limit) as answer:
            return outcome_of(answer.status, await answer.read(), is_stream=bool(body["stream"]))
    except TimeoutError:
        return "no_answer"
    except aiohttp.ClientConnectorError:
        return "refused"
    except (aiohttp.ClientError, OSError):
        return LOST


def outcome_of(status: int, body: bytes, *, is_stream: bool) -> str:
    """The name of an answer's end."""
    if status != 200:
        return _code(body)
    if not is_stream:
        return "ok" if _is_whole(body) else "cut"
    events = body.decode("utf-8", "replace").replace("\r\n", "\n").strip().split("\n\n")
    last = events[-1]
    if "event: done" in last or last.endswith("[DONE]"):
        return "ok"
    told = [line.removeprefix("data:").strip() for line in last.splitlines() if line.startswith("data:")]
    name = _code(told[-1].encode()) if told else "unnamed"
    return "cut" if name == "unnamed" else name


def _code(body: bytes) -> str:
    """The code in a problem of ours or in OpenAI's shape."""
    try:
        said: Any = json.loads(body)
    except ValueError:
        return "unnamed"
    said = said.get("error", said) if isinstance(said, dict) else {}
    code = said.get("code") if isinstance(said, dict) else None
    return code if isinstance(code, str) and code else "unnamed"


def _is_whole(body: bytes) -> bool:
    try:
        said = json.loads(body)
    except ValueError:
        return False
    return isinstance(said, dict) and ("text" in said or bool(said.get("choices")))


def unexplained(asked: Sequence[Asked], gateway_kills_s: Sequence[float]) -> list[Asked]:
    """Requests that ended as none may: without a name, or with a lost connection while no gateway was killed."""

    def is_wrong(one: Asked) -> bool:
        if one.outcome in NEVER:
            return True
        was_hit = any(one.began_s - 0.1 <= kill_s <= one.ended_s + 0.1 for kill_s in gateway_kills_s)
        return one.outcome == LOST and not was_hit

    return [one for one in asked if is_wrong(one)]
