"""One haunting: a platform whose clients vanish for a while, and whether it holds anything of them afterwards."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from survival.ghosts import Ghosts
from survival.leaks import Holding, faults_of, holdings, open_requests
from survival.running import Running, platform
from survival.wholeness import Wanted, until_whole

MODEL = "synthetic:tiny"
SLOT_LIMIT_S = 1.0
_START_LIMIT_S = 240.0
_FREE_LIMIT_S = 20.0
_SETTLE_LIMIT_S = 90.0
_FIRST_LIMIT_S = 60.0
_SAMPLES = 10
_MOST_TOKENS = {"sim": 400}
_FEWER_TOKENS = 120
_ENGINE_ARGS: dict[str, dict[str, object]] = {"vllm": {"max_num_seqs": 16}, "transformers": {}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """So many clients for so long on a runtime, after a warm-up of the same.

    `is_patient`: wait until idle connections between gateway and worker are closed, and count descriptors then.
    """

    runtime: str
    seconds: float
    clients: int
    seed: int
    warm_up_s: float
    is_patient: bool = True


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What was held at the start, after the warm-up, and in the end. `free_s`: until no engine computed any more.

    `memory`: MiB of each process, a few times while clients vanished.
    """

    before: list[Holding] = field(default_factory=list)
    warm: list[Holding] = field(default_factory=list)
    after: list[Holding] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    memory: dict[str, list[float]] = field(default_factory=dict)
    free_s: float | None = None
    faults: list[str] = field(default_factory=list)


async def vanish(plan: Plan, *, home: Path, say: Callable[[str], None]) -> Outcome:
    """Do it. Raises TimeoutError when the platform does not come up."""
    outcome = Outcome()
    async with platform(home, environ={}) as running:
        wanted = Wanted(name="haunted", replicas=1)
        args = _ENGINE_ARGS.get(plan.runtime, {})
        body = {"model": MODEL, "runtime": plan.runtime, "name": wanted.name, "engine_args": args}
        status, answer = await running.call("POST", "/deploy", body)
        if status != 202:
            raise RuntimeError(f"the deployment was refused with {status}: {answer}")
        await until_whole(running, [wanted], since_s=0.0, limit_s=_START_LIMIT_S)
        await _ask_once(running, plan.runtime)
        outcome.before = await holdings(running)
        say(f"warm-up, {plan.warm_up_s:g} s")
        await _ghosts(running, plan, seed=plan.seed + 1).haunt(plan.warm_up_s)
        await _until_free(running)
        outcome.warm = await holdings(running)
        say(f"{plan.clients} clients vanish for {plan.seconds:g} s")
        ghosts = _ghosts(running, plan, seed=plan.seed)
        sampling = asyncio.create_task(_sample(running, outcome.memory, every_s=plan.seconds / _SAMPLES))
        await ghosts.haunt(plan.seconds)
        sampling.cancel()
        outcome.free_s = await _until_free(running)
        outcome.left = ghosts.left
        say("waiting for idle connections to go")
        await _settle(running, outcome, is_patient=plan.is_patient)
    if outcome.free_s is None or outcome.free_s > SLOT_LIMIT_S:
        took = "never" if outcome.free_s is None else f"after {outcome.free_s:.2f} s"
        outcome.faults.append(f"the engine was free {took}")
    if ghosts.refused:
        outcome.faults.append(f"{ghosts.refused} connections were refused")
    return outcome


async def _ask_once(running: Running, runtime: str) -> None:
    """One whole request: an engine may begin a part of its work with the first (vLLM starts two tasks then)."""
    body = {"model": MODEL, "runtime": runtime, "prompt": "a", "max_tokens": 1}
    limit = aiohttp.ClientTimeout(total=_FIRST_LIMIT_S)
    async with running.session.post(f"{running.url}/infer", json=body, timeout=limit) as answer:
        if answer.status != 200:
            raise RuntimeError(f"the first request was refused with {answer.status}: {await answer.text()}")
    await _until_free(running)


async def _sample(running: Running, memory: dict[str, list[float]], *, every_s: float) -> None:
    """Note what each process holds, until cancelled: one that grows all the while shows here first."""
    while True:
        await asyncio.sleep(every_s)
        for one in await asyncio.to_thread(running.processes):
            if not one.is_zombie:
                memory.setdefault(one.kind, []).append(one.rss_bytes / 2**20)


def _ghosts(running: Running, plan: Plan, *, seed: int) -> Ghosts:
    place = urlsplit(running.url)
    return Ghosts(
        host=place.hostname or "", port=place.port or 0, model=MODEL, runtime=plan.runtime, clients=plan.clients,
        seed=seed, most_tokens=_MOST_TOKENS.get(plan.runtime, _FEWER_TOKENS),
    )  # fmt: skip


async def _until_free(running: Running) -> float | None:
    """Seconds until no engine has a request; None when that does not come."""
    began_s = time.monotonic()
    while time.monotonic() - began_s < _FREE_LIMIT_S:
        if await open_requests(running) == 0:
            return time.monotonic() - began_s
        await asyncio.sleep(0.01)
    return None


async def _settle(running: Running, outcome: Outcome, *, is_patient: bool) -> None:
    """Give what is idle its time to be closed; what is still held then is a leak."""
    until_s = time.monotonic() + (_SETTLE_LIMIT_S if is_patient else _FREE_LIMIT_S)
    while True:
        outcome.after = await holdings(running)
        faults = faults_of(outcome.before, outcome.warm, outcome.after, with_descriptors=is_patient)
        if not faults or time.monotonic() > until_s:
            outcome.faults += faults
            return
        await asyncio.sleep(0.5)


def table_of(outcome: Outcome) -> list[str]:
    """A row for each process: at the start, after the warm-up, in the end."""
    first, mid = ({(one.kind, one.name): one for one in seen} for seen in (outcome.before, outcome.warm))
    lines = [f"{'process':<26}  {'MiB warm -> end':>18}  {'descriptors':>14}  {'tasks':>10}"]
    for one in outcome.after:
        was, warm = first.get((one.kind, one.name)), mid.get((one.kind, one.name))
        mib = "" if warm is None else f"{warm.rss_bytes / 2**20:.1f} -> {one.rss_bytes / 2**20:.1f}"
        fds = "" if was is None else f"{was.descriptors} -> {one.descriptors}"
        tasks = "" if was is None or was.tasks is None else f"{was.tasks} -> {one.tasks}"
        lines.append(f"{f'{one.kind} {one.name}':<26}  {mib:>18}  {fds:>14}  {tasks:>10}".rstrip())
    left = ", ".join(f"{count} {name}" for name, count in sorted(outcome.left.items()))
    free = "never" if outcome.free_s is None else f"{outcome.free_s:.2f} s"
    grown = "; ".join(
        f"{kind} {' '.join(f'{mib:.0f}' for mib in seen)}" for kind, seen in sorted(outcome.memory.items())
    )
    lines += ["", f"MiB meanwhile: {grown}", f"clients left: {left}", f"engine free after the last one left: {free}"]
    lines += [f"FAULT: {fault}" for fault in outcome.faults]
    return [*lines, "FAILED" if outcome.faults else "PASSED"]
