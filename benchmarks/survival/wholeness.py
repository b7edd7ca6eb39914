"""Whether a platform is as it was told to be: by its processes, its own word, and each replica's answer together."""

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from survival.running import Running, Seen
from tokenforge.cluster.fleet_files import FleetFiles

_LOOK_S = 0.1
_PARTS = frozenset({"up", "gateway", "control"})
_OF_BENCHMARKS = frozenset({"benchmark", "driver"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A deployment that must serve with so many replicas."""

    name: str
    replicas: int


async def fault_of(running: Running, wanted: Sequence[Wanted], *, since_s: float) -> str:
    """What is not as it should be now; empty when all is. Control must have led after `since_s`."""
    try:
        status, body = await running.call("GET", "/deployments")
        if status != 200:
            return f"GET /deployments answers {status}"
        seen = await asyncio.to_thread(running.processes)
        said = {one["name"]: one for one in body["deployments"]}
        faults = [_deployment_fault(said.get(one.name), one, seen) for one in wanted]
        names = [replica["id"] for one in wanted for replica in _replicas(said.get(one.name))]
        faults += await asyncio.gather(*(_answer_fault(running, name) for name in names))
        faults += [f"no {kind} runs" for kind in sorted(_PARTS - {process.kind for process in seen})]
        if await asyncio.to_thread(running.led_at_s) <= since_s:
            faults.append("control does not lead")
        return next((fault for fault in faults if fault), "")
    except (aiohttp.ClientError, TimeoutError, OSError, sqlite3.Error) as error:
        return f"{type(error).__name__}: {error}"


async def until_whole(running: Running, wanted: Sequence[Wanted], *, since_s: float, limit_s: float) -> float:
    """Wait until it is; the Unix time of the look that found it so. Raises TimeoutError with what is wrong."""
    until = time.monotonic() + limit_s
    while True:
        looked_s = time.time()
        fault = await fault_of(running, wanted, since_s=since_s)
        if not fault:
            return looked_s
        if time.monotonic() > until:
            raise TimeoutError(f"not whole after {limit_s:g} s: {fault}")
        await asyncio.sleep(_LOOK_S)


def strangers(seen: Sequence[Seen], wanted: Sequence[Wanted]) -> list[Seen]:
    """Processes that should not be there when no benchmark runs: zombies, and workers beyond those that are wanted."""
    names = tuple(f"{one.name}-" for one in wanted)

    def is_known(process: Seen) -> bool:
        if process.kind == "worker":
            return process.name.startswith(names)
        return process.kind in _PARTS or process.kind == "child"

    return [process for process in seen if process.is_zombie or not is_known(process)]


def _deployment_fault(said: Any, wanted: Wanted, seen: Sequence[Seen]) -> str:
    if said is None:
        return f"{wanted.name} is not there"
    if not said["ready"] or said["observed"]["generation"] != said["generation"]:
        return f"{wanted.name} is {said['status']}"
    told = {replica["id"] for replica in _replicas(said)}
    there = {one.name for one in seen if one.kind == "worker" and one.name.startswith(f"{wanted.name}-")}
    if told != there or len(told) != wanted.replicas:
        return f"{wanted.name}: {sorted(told)} are said to serve, {sorted(there)} run"
    return ""


def _replicas(said: Any) -> list[Any]:
    return [] if said is None else list(said["observed"]["replicas"])


async def _answer_fault(running: Running, name: str) -> str:
    """The fault of one replica, asked itself at the address that it wrote down."""
    state = FleetFiles(running.home / "platform" / "workers").state(name)
    if state is None:
        return f"{name} says nothing of itself"
    limit = aiohttp.ClientTimeout(total=2.0)
    url = f"http://127.0.0.1:{state.said.port}/health/ready"
    async with running.session.get(url, timeout=limit) as answer:
        return "" if answer.status == 200 else f"{name} is not ready"
