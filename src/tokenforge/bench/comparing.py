"""`compare`: both sides from their words to a verdict in files: start, quads, parity, stop, write.

The verdict itself is read from the record by `analysis`, so a page that is built again says the same.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil

from tokenforge.analysis.parity import judge_parity
from tokenforge.bench.environment import read_pressure
from tokenforge.bench.execute import open_logs, run_trials
from tokenforge.bench.observe import Observer
from tokenforge.bench.order import trial_order
from tokenforge.bench.parity import ParityAsk, needs_text, record_candidate, record_reference
from tokenforge.bench.plan import check_workloads
from tokenforge.bench.prompts import PromptTokenizer
from tokenforge.bench.session import Request, calibrated, finish, machine_facts, make_offering, stop_workers
from tokenforge.bench.sides import Opening, Sides, choose_restart
from tokenforge.bench.targets import Kit, Target, find_model, start_target, url_target
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.comparison import QUAD_BLOCKS, ComparisonSpec, Restart, Side
from tokenforge.domain.errors import RunInterrupted, TokenForgeError
from tokenforge.domain.parity import ParityResult, not_measured
from tokenforge.models.resolve import ResolvedModel
from tokenforge.store.artifacts import open_run_folder

if TYPE_CHECKING:
    from tokenforge.bench.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a comparison needs beside its request. `headers` go to servers known by their address.

    `model` is the name that such servers serve it under (None: the only one), `tokenizer` makes exact prompts for them;
    `restart` None: as the machine allows. `parity` None: the outputs are not looked at.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    tokenizer: PromptTokenizer | None = None
    restart: Restart | None = None
    parity: ParityAsk | None = None


async def run_comparison(request: Request, means: Means, *, kit: Kit) -> "tuple[Outcome, BaseException | None]":
    """Run the benchmark's one workload on the two sides of its `comparison`. Returns what ended it early, if anything.

    Raises TokenForgeError when a side cannot be brought up.
    """
    open_run_folder(request.folder)
    before = read_pressure()
    model = await _model(request.benchmark, kit)
    request = replace(request, benchmark=_settled(request.benchmark, model, means, kit))
    spec = _spec(request.benchmark)
    openings = [_opening(side, model, request.benchmark, means, kit=kit) for side in spec.sides]
    sides = Sides(openings, restart=spec.restart, observer=kit.observer)
    try:
        targets = await sides.begin(first=_order(request.benchmark)[0])
        _check(request.benchmark, targets[0])
        logs = open_logs(targets, request.benchmark)
        ended = await run_trials(
            logs, request.benchmark, offering=make_offering(request, kit), observer=kit.observer, attendant=sides
        )
        parity = None if ended is not None else await ask_parity(sides, targets, means, observer=kit.observer)
    finally:
        await asyncio.shield(stop_workers(kit))
    facts = {} if model is None else await machine_facts([model], kit)
    calibration = await calibrated(request, logs, ended=ended, kit=kit)
    outcome = await finish(request, logs, before=before, facts=facts, calibration=calibration, parity=parity)
    return outcome, ended


def comparison_trials(quads: int) -> int:
    """Trials of each side."""
    return QUAD_BLOCKS * quads


def address_label(url: str) -> str:
    """What a server is called: its host and port, without user or path."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2]


async def _model(benchmark: Benchmark, kit: Kit) -> ResolvedModel | None:
    """The model's folder, where a side is started here."""
    if all(side.url is not None for side in _spec(benchmark).sides):
        return None
    return await asyncio.to_thread(find_model, benchmark.models[0], kit)


def _settled(benchmark: Benchmark, model: ResolvedModel | None, means: Means, kit: Kit) -> Benchmark:
    """The benchmark with the restart rule that holds; servers that are not ours are never restarted."""
    restart = means.restart
    if model is None:
        restart = Restart.NEVER
    elif restart is None:
        weights = sum(path.stat().st_size for path in model.folder.glob("*.safetensors"))
        available = psutil.virtual_memory().available
        restart = choose_restart(accelerator=kit.accelerator, weights_bytes=weights, available_bytes=available)
    kit.observer.phase("benchmark", f"engines are restarted: {restart}")
    return replace(benchmark, comparison=replace(_spec(benchmark), restart=restart))


def _opening(side: Side, model: ResolvedModel | None, benchmark: Benchmark, means: Means, *, kit: Kit) -> Opening:
    if side.url is not None:
        ask = partial(
            url_target, side.url, model=means.model, runtime=address_label(side.url), headers=means.headers,
            tokenizer=means.tokenizer,
        )  # fmt: skip
        return Opening(open=lambda: asyncio.to_thread(ask), is_ours=False)
    assert side.runtime is not None
    assert model is not None
    mine = replace(benchmark, engine_args={side.runtime.name: side.engine_args})
    return Opening(open=partial(start_target, model, side.runtime, mine, kit=kit), is_ours=True)


def _check(benchmark: Benchmark, target: Target) -> None:
    check_workloads(benchmark.workloads, seed=benchmark.seed, window=target.window, tokenizer=target.tokenizer)


def _order(benchmark: Benchmark) -> list[int]:
    """Which side is measured at each position."""
    steps = trial_order(runtimes=2, workloads=1, trials=benchmark.trials, order=benchmark.order, seed=benchmark.seed)
    return [step.runtime for step in steps]


async def ask_parity(
    sides: Sides, targets: Sequence[Target], means: Means, *, observer: Observer
) -> ParityResult | None:
    """After the trials, so that what is asked for it warms no cache before them. A first, then B.

    Interrupted, it was not measured, and the trials before it are kept.
    """
    ask = means.parity
    if ask is None:
        return None
    observer.phase("benchmark", "asking both sides for the same answers")
    try:
        reference = await record_reference(await sides.alone(0), ask, as_text=needs_text(*targets))
        return judge_parity(reference, await record_candidate(await sides.alone(1), ask, reference))
    except TokenForgeError as error:
        code, why = error.code, " ".join(error.message.split())
    except asyncio.CancelledError:
        code, why = RunInterrupted.code, "it was interrupted"
    a, b = targets
    return not_measured(model=a.model, reference=a.runtime, candidate=b.runtime, code=code, why=why)


def _spec(benchmark: Benchmark) -> ComparisonSpec:
    assert benchmark.comparison is not None
    return benchmark.comparison
