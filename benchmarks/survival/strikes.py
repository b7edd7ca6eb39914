"""Who is killed and when: drawn from a seed, at moments that do not wait for the one before to be mended."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from survival.running import Running, Seen

KINDS = ("gateway", "control", "worker")
LEAST_GAP_S, MOST_GAP_S = 0.1, 8.0
_VICTIM_LIMIT_S = 15.0


@dataclass(slots=True, kw_only=True)
class Strike:
    """One kill: its number, when (Unix seconds), whom.

    `whole_s`: when the platform was first known to be whole again; `looked_s`: when the look began that found it so.
    """

    number: int
    at_s: float
    kind: str
    name: str
    whole_s: float | None = None
    looked_s: float | None = None

    @property
    def whole_after_s(self) -> float | None:
        """How long it took, None while it is not."""
        return None if self.whole_s is None else self.whole_s - self.at_s


def mended_s(strike: Strike, struck: Sequence[Strike]) -> float | None:
    """How long from the last kill before the platform was whole: another one in between is a new fault."""
    if strike.whole_s is None or strike.looked_s is None:
        return None
    return strike.whole_s - max(one.at_s for one in struck if one.at_s <= strike.looked_s)


async def strikes(running: Running, *, kills: int, seed: int, most_gap_s: float = MOST_GAP_S) -> AsyncIterator[Strike]:
    """Kill so many times; each is given as it is done. Raises TimeoutError when a kind has no process for 15 s."""
    chance = random.Random(seed)
    for number in range(1, kills + 1):
        await asyncio.sleep(chance.uniform(LEAST_GAP_S, most_gap_s))
        kind = chance.choice(KINDS)
        victim = await _victim(running, kind, chance)
        at_s = time.time()
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)
        yield Strike(number=number, at_s=at_s, kind=kind, name=victim.name)


async def _victim(running: Running, kind: str, chance: random.Random) -> Seen:
    """One of that kind, as soon as there is one."""
    async with asyncio.timeout(_VICTIM_LIMIT_S):
        while True:
            seen = await asyncio.to_thread(running.processes)
            there = sorted((one for one in seen if one.kind == kind and not one.is_zombie), key=lambda one: one.name)
            if there:
                return chance.choice(there)
            await asyncio.sleep(0.02)
