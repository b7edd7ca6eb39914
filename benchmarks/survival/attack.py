"""One attack: a platform with deployments, load and benchmarks, its processes killed at random, and what came of it."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from survival.asking import LOST, Asked, Askers, unexplained
from survival.running import Running, Seen, platform
from survival.runs import Queue, faults_of
from survival.strikes import MOST_GAP_S, Strike, mended_s, strikes
from survival.wholeness import Wanted, fault_of, strangers, until_whole

MODEL = "synthetic:tiny"
RECOVERY_LIMIT_S = 15.0
_DEPLOY_LIMIT_S = 60.0
_RUNS_LIMIT_S = 120.0
_LOOK_S = 0.1
DEPLOYMENTS = (Wanted(name="wide", replicas=2), Wanted(name="small", replicas=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do: so many kills, drawn from `seed`, under the load of so many clients.

    `most_gap_s`: the longest pause between two kills; `ahead`: benchmarks that run or wait at any time.
    """

    kills: int
    seed: int
    clients: int = 8
    most_gap_s: float = MOST_GAP_S
    ahead: int = 2


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of it. `faults` are the sentences that make it a failure."""

    strikes: list[Strike] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    runs: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    before: list[Seen] = field(default_factory=list)
    after: list[Seen] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


async def attack(plan: Plan, *, home: Path, say: Callable[[str], None]) -> Outcome:
    """Do it. Raises TimeoutError when the platform does not come up in the first place."""
    outcome = Outcome()
    async with platform(home, environ={}) as running:
        await _deploy(running)
        await until_whole(running, DEPLOYMENTS, since_s=0.0, limit_s=_DEPLOY_LIMIT_S)
        outcome.before = running.processes()
        await _under_load(running, plan, outcome, say)
        outcome.after = running.processes()
        outcome.faults += [
            f"{one.kind} {one.name} ({one.pid}) is left" for one in strangers(outcome.after, DEPLOYMENTS)
        ]
        left = await running.end()
        outcome.faults += [f"{one.kind} {one.name} ({one.pid}) outlived the platform" for one in left]
    outcome.faults += _files_left(home)
    return outcome


async def _deploy(running: Running) -> None:
    for wanted in DEPLOYMENTS:
        args = {} if wanted.replicas > 1 else {"step_ms": 3}
        body = {"model": MODEL, "runtime": "sim", "name": wanted.name, "replicas": wanted.replicas, "engine_args": args}
        status, answer = await running.call("POST", "/deploy", body)
        if status != 202:
            raise RuntimeError(f"a deployment was refused with {status}: {answer}")


async def _under_load(running: Running, plan: Plan, outcome: Outcome, say: Callable[[str], None]) -> None:
    askers = Askers(url=running.url, model=MODEL, clients=plan.clients, seed=plan.seed)
    queue = Queue(running=running, model=MODEL, ahead=plan.ahead)
    askers.begin(running.session)
    queue.begin()
    watching = asyncio.create_task(_watch(running, outcome.strikes))
    try:
        async for strike in strikes(running, kills=plan.kills, seed=plan.seed, most_gap_s=plan.most_gap_s):
            outcome.strikes.append(strike)
            say(f"{strike.number:3} killed {strike.kind} {strike.name}")
    except TimeoutError:
        outcome.faults.append(f"after {len(outcome.strikes)} kills there was none left to kill")
    outcome.faults += await _recovered(running, outcome.strikes)
    await queue.end()
    outcome.runs = await queue.until_final(limit_s=_RUNS_LIMIT_S)
    outcome.faults += faults_of(queue.asked, outcome.runs)
    await askers.end()
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    outcome.asked = askers.ended
    kills_s = [strike.at_s for strike in outcome.strikes if strike.kind == "gateway"]
    wrong = unexplained(askers.ended, kills_s)
    outcome.faults += [f"a request ended {one.outcome} after {one.ended_s - one.began_s:.1f} s" for one in wrong]
    with contextlib.suppress(TimeoutError):  # deployments made for benchmarks drain
        await _until_alone(running)


async def _watch(running: Running, struck: list[Strike]) -> None:
    """Note for each strike when all was first well again."""
    while True:
        open_ones = [strike for strike in struck if strike.whole_s is None]
        if open_ones:
            looked_s = time.time()
            led_since_s = max((one.at_s for one in struck if one.kind == "control"), default=0.0)
            if not await fault_of(running, DEPLOYMENTS, since_s=led_since_s):
                whole_s = time.time()  # a call to a gateway that is being started ends when it is there
                for strike in open_ones:
                    if strike.at_s <= looked_s:
                        strike.looked_s, strike.whole_s = looked_s, whole_s
        await asyncio.sleep(_LOOK_S)


async def _recovered(running: Running, struck: Sequence[Strike]) -> list[str]:
    """Wait for the last of them; the strikes that took too long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2 * RECOVERY_LIMIT_S):
            while any(strike.whole_s is None for strike in struck):  # noqa: ASYNC110 - the kernel tells no event
                await asyncio.sleep(_LOOK_S)
    faults = []
    for strike in struck:
        took_s = mended_s(strike, struck)
        if took_s is None or took_s > RECOVERY_LIMIT_S:
            took = "never" if took_s is None else f"{took_s:.1f} s after the last kill before that"
            faults.append(f"strike {strike.number} ({strike.kind} {strike.name}) was mended {took}")
    if faults:
        why = await fault_of(running, DEPLOYMENTS, since_s=0.0)
        faults.append(f"in the end: {why or 'all is well'}")
    return faults


async def _until_alone(running: Running) -> None:
    async with asyncio.timeout(_DEPLOY_LIMIT_S):
        while strangers(await asyncio.to_thread(running.processes), DEPLOYMENTS):  # noqa: ASYNC110 - as above
            await asyncio.sleep(_LOOK_S)


def _files_left(home: Path) -> list[str]:
    """Files of workers (but for logs) that should be gone once all has ended."""
    folder = home / "platform" / "workers"
    return [f"{path.name} is left" for path in sorted(folder.iterdir()) if path.suffix != ".log"]


def tally(asked: Sequence[Asked]) -> dict[str, int]:
    """How many requests ended how, `ok` first."""
    counts: dict[str, int] = {}
    for one in asked:
        counts[one.outcome] = counts.get(one.outcome, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: (pair[0] != "ok", pair[0] == LOST, pair[0])))
