"""One benchmark from its spec to its files: prepare targets, run trials, stop what was started, write the outcome.

However it ends (done, failed, interrupted), workers are stopped and what was recorded is written. A benchmark that
fails before its first trial leaves no files, only the error. Analysis and report are imported when the trials are
over, so that the first request is not kept waiting for them.
"""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from tokenforge.bench.calibration.calibrate import calibrate
from tokenforge.bench.calibration.subjects import subjects_of
from tokenforge.bench.ceilings import known_ceilings
from tokenforge.bench.checkpoints import Checkpoints, find_whole
from tokenforge.bench.driver.capacity import measure_capacity
from tokenforge.bench.driver.job import Endpoint
from tokenforge.bench.environment import read_environment, read_pressure, read_tool, steal_share, throttled_share
from tokenforge.bench.execute import Offering, open_logs, run_trials
from tokenforge.bench.gpu_cards import find_cards
from tokenforge.bench.plan import check_workloads
from tokenforge.bench.run_log import RunLog
from tokenforge.bench.targets import Kit, Target, find_model, start_target
from tokenforge.bench.withdrawn import NOTHING_WITHDRAWN, Withdrawn
from tokenforge.domain.benchmark import Benchmark, Order
from tokenforge.domain.calibration import Calibration
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.moments import moment_text
from tokenforge.domain.parity import ParityResult
from tokenforge.models.resolve import ResolvedModel
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.store.artifacts import open_run_folder

if TYPE_CHECKING:
    from tokenforge.bench.outcome import Outcome

_JOURNALS = "journals"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to run and where to write it. `command` goes into the record, so it must hold no secret.

    `calibrate`: measure the load generator's own error after the trials. `withdrawn`: runs cancelled meanwhile.
    `taken_up_because`: why there was an attempt before, in the same folder; its whole trials are not measured again.
    """

    benchmark: Benchmark
    folder: Path
    command: str
    endpoint: Endpoint = Endpoint.COMPLETIONS
    processes: int | None = None
    calibrate: bool = True
    withdrawn: Withdrawn = NOTHING_WITHDRAWN
    taken_up_because: str = ""


async def run_benchmark(request: Request, *, kit: Kit) -> "tuple[Outcome, BaseException | None]":
    """Run every model of the benchmark on every runtime. Returns the outcome and what ended it early, if anything.

    Raises TokenForgeError when nothing could be measured (a model, an environment or a worker failed to come up).
    """
    open_run_folder(request.folder)
    logs: list[RunLog] = []
    models: list[ResolvedModel] = []
    before = read_pressure()
    ended: BaseException | None = None
    for ref in request.benchmark.models:
        models.append(await asyncio.to_thread(find_model, ref, kit))
        _check_workloads(request.benchmark, models[-1])
        ended = await _run_model(models[-1], request, logs=logs, kit=kit)
        if ended is not None:
            break
    facts = await machine_facts(models, kit)
    calibration = await calibrated(request, logs, ended=ended, kit=kit)
    return await finish(request, logs, before=before, facts=facts, calibration=calibration), ended


async def run_on_target(request: Request, target: Target, *, kit: Kit) -> "tuple[Outcome, BaseException | None]":
    """Run the benchmark's workloads on one server that already runs."""
    open_run_folder(request.folder)
    benchmark = request.benchmark
    check_workloads(benchmark.workloads, seed=benchmark.seed, window=target.window, tokenizer=target.tokenizer)
    before = read_pressure()
    logs = open_logs([target], request.benchmark)
    ended = await run_trials(logs, request.benchmark, offering=make_offering(request, kit), observer=kit.observer)
    calibration = await calibrated(request, logs, ended=ended, kit=kit)
    return await finish(request, logs, before=before, facts={}, calibration=calibration), ended


def _check_workloads(benchmark: Benchmark, model: ResolvedModel) -> None:
    window = min(model.window, benchmark.max_model_len or model.window)
    has_dataset = any(workload.dataset is not None for workload in benchmark.workloads)
    tokenizer = load_tokenizer(model.folder) if has_dataset else None
    check_workloads(benchmark.workloads, seed=benchmark.seed, window=window, tokenizer=tokenizer)


async def _run_model(model: ResolvedModel, request: Request, *, logs: list[RunLog], kit: Kit) -> BaseException | None:
    """All runtimes side by side, or one after another where the benchmark says so."""
    benchmark = request.benchmark
    if benchmark.order is Order.INTERLEAVED:
        groups = [benchmark.runtimes]
    else:
        groups = [(runtime,) for runtime in benchmark.runtimes]
    for group in groups:
        targets: list[Target] = []
        try:
            for runtime in group:
                targets.append(await start_target(model, runtime, benchmark, kit=kit))
            mine = open_logs(targets, benchmark)
            logs.extend(mine)
            offering = make_offering(request, kit, part=f"{len(logs):03d}")
            ended = await run_trials(mine, benchmark, offering=offering, observer=kit.observer)
        finally:
            await asyncio.shield(stop_workers(kit))
        if ended is not None:
            return ended
    return None


async def stop_workers(kit: Kit) -> None:
    """Stop what was started, and say so."""
    kit.observer.phase("benchmark", "stopping workers")
    await kit.cluster.close()


def make_offering(request: Request, kit: Kit, *, part: str = "000") -> Offering:
    """How the trials of one part of the request are offered."""
    journals = request.folder / _JOURNALS
    attempts = sorted(journals.glob(f"*/{part}"))
    whole = tuple(one for folder in attempts for one in find_whole(folder)) if request.taken_up_because else ()
    capacity = measure_capacity()
    return Offering(
        endpoint=request.endpoint, folder=journals / f"{len(attempts):03d}" / part,
        capacity=capacity if kit.most_drivers is None else replace(capacity, cores=kit.most_drivers), offer=kit.offer,
        processes=request.processes, withdrawn=request.withdrawn,
        checkpoints=Checkpoints(whole=whole, because=request.taken_up_because),
        find_cards=partial(find_cards, kit.base_env.get("CUDA_VISIBLE_DEVICES")),
    )  # fmt: skip


async def machine_facts(models: Sequence[ResolvedModel], kit: Kit) -> Mapping[str, object]:
    """What the record keeps of the models, and of this machine's own ceilings where they are known."""
    ceilings = await asyncio.to_thread(known_ceilings, kit.home, read_environment())
    return {"models": [_model_facts(model) for model in models], "ceilings": ceilings}


async def calibrated(
    request: Request, logs: Sequence[RunLog], *, ended: BaseException | None, kit: Kit
) -> tuple[Calibration, ...]:
    """After the trials, so that the first request does not wait for it; nothing of a benchmark that ended early."""
    if not request.calibrate or ended is not None:
        return ()
    kit.observer.phase("benchmark", "calibrating the load generator")
    subjects = subjects_of(logs, endpoint=request.endpoint)
    try:
        return await calibrate(subjects, folder=request.folder / _JOURNALS)
    except asyncio.CancelledError:
        kit.observer.phase("benchmark", "the calibration was interrupted; the trials are kept")
        return ()


async def finish(
    request: Request,
    logs: Sequence[RunLog],
    *,
    before: Mapping[str, float | None],
    facts: Mapping[str, object],
    calibration: tuple[Calibration, ...],
    parity: ParityResult | None = None,
) -> "Outcome":
    """Write the files of a benchmark that has ended, and remove its journals."""
    from tokenforge.bench.outcome import Circumstances, write_outcome

    now = datetime.now(UTC)
    after = read_pressure()
    shares = {"steal_share": steal_share(before, after), "throttled_share": throttled_share(before, after)}
    pressure = {"before": before, "after": {**after, **shares}}
    environment = {**read_environment(), **facts, "pressure": pressure}
    circumstances = Circumstances(
        id=f"{now:%Y%m%dT%H%M%S}-{uuid4().hex[:8]}",
        created_at=moment_text(now, "seconds"),
        command=request.command,
        tool=read_tool(),
        environment=environment,
        calibration=calibration,
        endpoint=request.endpoint,
        parity=parity,
    )
    outcome = await asyncio.to_thread(
        write_outcome, request.folder, request.benchmark, logs, circumstances=circumstances
    )
    shutil.rmtree(request.folder / _JOURNALS, ignore_errors=True)
    return outcome


def _model_facts(model: ResolvedModel) -> Mapping[str, object]:
    hashes, architecture = dict(model.hashes), to_plain(model.architecture)
    return {"model": str(model.ref), "window": model.window, "hashes": hashes, "architecture": architecture}
