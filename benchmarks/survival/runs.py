"""Benchmarks that are asked for all the while, each by a key of its own, so that a lost or doubled one shows.

A call whose answer was lost with its gateway is sent again with the same `Idempotency-Key`: a client can do no more.
"""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from survival.running import Running

QPS, DURATION_S = 6, 2
_LOOK_S = 0.3
FINAL = frozenset({"succeeded", "failed", "cancelled", "interrupted"})


@dataclass(slots=True, kw_only=True)
class Queue:
    """Keeps so many benchmarks running or waiting. `asked` is the benchmark's id by key."""

    running: Running
    model: str
    ahead: int
    asked: dict[str, str] = field(default_factory=dict)
    _task: "asyncio.Task[None] | None" = None
    _stop: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self) -> None:
        """Start asking."""
        self._task = asyncio.create_task(self._keep_asking())

    async def end(self) -> None:
        """Ask no more."""
        self._stop.set()
        if self._task is not None:
            await self._task

    async def statuses(self) -> dict[str, list[Mapping[str, Any]]]:
        """Every run that the platform knows, by its benchmark."""
        status, body = await self.running.call("GET", "/runs?limit=1000")
        if status != 200:
            raise aiohttp.ClientError(f"GET /runs answers {status}: {body}")
        found: dict[str, list[Mapping[str, Any]]] = {}
        for run in body["runs"]:
            found.setdefault(run["benchmark"], []).append(run)
        return found

    async def until_final(self, *, limit_s: float) -> dict[str, list[Mapping[str, Any]]]:
        """Wait until none is open; what they came to. After `limit_s` it is whatever they are."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while await self._open():  # noqa: ASYNC110 - another process is asked
                    await asyncio.sleep(_LOOK_S)
        return await self.statuses()

    async def _keep_asking(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                if await self._open() < self.ahead:
                    await self._ask(len(self.asked))
            await asyncio.sleep(_LOOK_S)

    async def _open(self) -> int:
        try:
            return sum(run["status"] not in FINAL for runs in (await self.statuses()).values() for run in runs)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return self.ahead

    async def _ask(self, number: int) -> None:
        """Until it is answered. Every other one deploys an engine of its own, which must go again."""
        key = uuid.uuid4().hex
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                body = benchmark_body(self.model, number)
                status, made = await self.running.call(
                    "POST", "/benchmarks/run", body, headers={"idempotency-key": key}
                )
                if status != 202:
                    raise RuntimeError(f"a benchmark was refused with {status}: {made}")
                self.asked[key] = made["id"]
                return
            await asyncio.sleep(_LOOK_S)


def benchmark_body(model: str, number: int) -> dict[str, object]:
    """A short benchmark."""
    workload = {"name": f"w{number}", "qps": QPS, "duration_s": DURATION_S, "prompt_len": 32, "gen_tokens": 8}
    body: dict[str, object] = {"model": model, "runtimes": ["sim"], "workloads": [workload], "trials": 1}
    return {**body, "engine_args": {"sim": {"seed": 1}}} if number % 2 else body


def faults_of(asked: Mapping[str, str], known: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """What is wrong with the runs: lost, doubled, never ended, or ended without a cause."""
    faults = [f"benchmark {identity} is lost" for identity in sorted(set(asked.values()) - set(known))]
    faults += [f"benchmark {identity} was not asked for" for identity in sorted(set(known) - set(asked.values()))]
    for identity, count in Counter(asked.values()).items():
        if count > 1:
            faults.append(f"{count} keys gave benchmark {identity}")
    for identity, runs in known.items():
        if len(runs) != 1:
            faults.append(f"benchmark {identity} has {len(runs)} runs, not 1")
        for run in runs:
            if run["status"] not in FINAL:
                faults.append(f"run {run['id']} is still {run['status']}")
            elif run["status"] in ("failed", "interrupted") and not run["cause"]:
                faults.append(f"run {run['id']} {run['status']} without a cause")
    return faults
