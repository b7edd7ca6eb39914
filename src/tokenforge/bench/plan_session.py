"""`plan`: start each runtime once, search its capacity, stop it; keep the probes as a normal run folder."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from tokenforge.analysis.capacity_search import SearchRules
from tokenforge.bench.capacity import TargetSearch, search_capacity
from tokenforge.bench.environment import read_pressure
from tokenforge.bench.outcome import Outcome
from tokenforge.bench.run_log import RunLog
from tokenforge.bench.session import Request, finish, make_offering, stop_workers
from tokenforge.bench.targets import Kit, Target, find_model, start_target
from tokenforge.store.artifacts import open_run_folder


async def run_plan(
    request: Request, rules: SearchRules, *, kit: Kit, target: Target | None = None
) -> tuple[Outcome, Sequence[TargetSearch], BaseException | None]:
    """Search on `target`, or on each runtime of the benchmark, one after another so that each has the machine."""
    open_run_folder(request.folder)
    before = read_pressure()
    searches: list[TargetSearch] = []
    ended: BaseException | None = None
    if target is not None:
        ended = await _search(target, request, rules, searches, kit=kit)
    else:
        model = await asyncio.to_thread(find_model, request.benchmark.models[0], kit)
        for runtime in request.benchmark.runtimes:
            try:
                started = await start_target(model, runtime, request.benchmark, kit=kit)
                ended = await _search(started, request, rules, searches, kit=kit)
            finally:
                await asyncio.shield(stop_workers(kit))
            if ended is not None:
                break
    logs: list[RunLog] = [log for search in searches for log in search.logs]
    done = replace(request, benchmark=replace(request.benchmark, workloads=tuple(log.workload for log in logs)))
    outcome = await finish(done, logs, before=before, facts={}, calibration=())
    return outcome, searches, ended


async def _search(
    target: Target, request: Request, rules: SearchRules, searches: list[TargetSearch], *, kit: Kit
) -> BaseException | None:
    search = TargetSearch(runtime=target.runtime, rules=rules)
    searches.append(search)
    offering = make_offering(request, kit, part=f"{len(searches):03d}")
    return await search_capacity(target, request.benchmark, search, offering=offering, observer=kit.observer)
