"""`plan`: how much load a deployment holds within an SLO, and what a load needs of it."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tokenforge.analysis.capacity_search import Capacity, SearchRules, read_capacity
from tokenforge.analysis.intervals import Estimate
from tokenforge.analysis.replicas import Terms, cost_at_capacity, deploy
from tokenforge.bench.benchmark_file import load_benchmark
from tokenforge.bench.capacity import TargetSearch
from tokenforge.bench.outcome import Outcome
from tokenforge.bench.plan_session import run_plan
from tokenforge.bench.session import Request
from tokenforge.bench.targets import url_target
from tokenforge.cli.bench import say_why, until_stopped
from tokenforge.cli.progress import LiveProgress, PlainProgress
from tokenforge.cli.results import remember
from tokenforge.cli.show import print_json, print_table
from tokenforge.cli.wiring import counted
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.errors import Fault, InvalidInput, NotFound
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import RuntimeRef
from tokenforge.domain.slo_presets import SLO_PRESETS
from tokenforge.domain.workload import Arrival, Fixed, Slo, Workload
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.report.capacity_page import capacity_markdown
from tokenforge.settings import read_settings
from tokenforge.store.artifacts import write_text

_OPEN = (Arrival.POISSON, Arrival.CONSTANT, Arrival.GAMMA)
_LIMITS = ("ttft_ms", "tpot_ms", "e2e_ms", "attainment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options as given; None is "not given"."""

    file: Path | None
    url: str | None
    model: str | None
    workload: str | None
    slo: str | None
    trace: Path | None
    price_per_hour: float | None
    power_w: float | None
    headroom: float
    max_trials: int
    probe_s: float
    start_rate: float | None
    prompt_len: int
    gen_tokens: int
    tokenizer: Path | None
    out: Path | None
    as_json: bool


def run(asked: Asked) -> int:
    """Search, print, write. Raises TokenForgeError for input that cannot be used."""
    rates = None if asked.trace is None else read_rates(asked.trace)
    benchmark = _benchmark(asked)
    (load,) = benchmark.workloads
    assert load.slo is not None
    rules = SearchRules(
        attainment=load.slo.attainment, start_rate=asked.start_rate or load.qps or 1.0, max_trials=asked.max_trials,
        max_probe_s=asked.probe_s, min_probe_s=min(20.0, asked.probe_s), warmup_s=min(10.0, asked.probe_s / 5),
    )  # fmt: skip
    folder = asked.out or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-plan"
    request = Request(benchmark=benchmark, folder=folder, command="tokenforge plan", calibrate=False)
    console = Console(stderr=True)
    found: list[TargetSearch] = []
    with LiveProgress(console) if console.is_terminal else PlainProgress(sys.stderr) as observer:
        outcome, ended = until_stopped(_work(asked, request, rules, found, observer))
    remember(outcome)
    terms = Terms(
        headroom=asked.headroom, output_tokens=None, power_w=asked.power_w,
        price_per_hour=benchmark.price_per_hour if asked.price_per_hour is None else asked.price_per_hour,
    )  # fmt: skip
    holds = _show(found, rules, terms, rates, folder, as_json=asked.as_json)
    if ended is not None:
        say_why(ended)
    return 0 if ended is None and holds else 1


async def _work(
    asked: Asked,
    request: Request,
    rules: SearchRules,
    found: list[TargetSearch],
    observer: LiveProgress | PlainProgress,
) -> tuple[Outcome, BaseException | None]:
    settings = read_settings()
    target = None
    if asked.url is not None:
        key = settings.openai_api_key
        target = await asyncio.to_thread(
            url_target, asked.url, model=asked.model, runtime="url",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            tokenizer=None if asked.tokenizer is None else load_tokenizer(asked.tokenizer),
        )  # fmt: skip
    outcome, searches, ended = await counted(
        settings, observer, lambda kit: run_plan(request, rules, kit=kit, target=target)
    )
    found.extend(searches)
    return outcome, ended


def _show(
    found: Sequence[TargetSearch],
    rules: SearchRules,
    terms: Terms,
    rates: Sequence[float] | None,
    folder: Path,
    *,
    as_json: bool,
) -> bool:
    """Print and write what came out. Returns whether every runtime has a capacity that was shown."""
    rows, pages, documents, holds = [], [], [], True
    for search in found:
        capacity = read_capacity(rules, search.probes)
        tokens = [value for value in search.output_tokens if value > 0]
        mine = replace(terms, output_tokens=sum(tokens) / len(tokens) if tokens else None)
        plan = None if rates is None else deploy(rates, capacity, mine)
        cost = cost_at_capacity(capacity, mine) if plan is None else plan.dollars_per_million
        replicas = "-" if plan is None else f"{plan.most} at most, {plan.replica_hours:.4g} h"
        rows.append((search.runtime, _capacity_text(capacity), replicas, _estimate(cost)))
        note = f"\n\n{capacity.note}" if capacity.note else ""
        text = f"Capacity: {rows[-1][1]} req/s. Replicas: {replicas}. $/M output tokens: {_estimate(cost)}."
        pages.append((search.runtime, capacity, text + note))
        documents.append(
            {"runtime": search.runtime, "capacity": capacity, "probes": search.probes, "cost": cost, "deployment": plan}
        )
        holds = holds and capacity.low is not None
    document = to_plain({"schema": "tokenforge.plan/1", "rules": rules, "terms": terms, "runtimes": documents})
    write_text(folder / "plan.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    write_text(folder / "plan.md", capacity_markdown(pages, target=rules.attainment))
    if as_json:
        print_json({"folder": str(folder), "plan": document})
        return holds
    print_table(("runtime", "capacity, req/s (95 %)", "replicas", "$/M output tokens"), rows)
    for runtime, capacity, _ in pages:
        if capacity.note:
            print(f"{runtime}: {capacity.note}")
    print(f"\nPlan: {folder / 'plan.md'}")
    return holds


def _capacity_text(capacity: Capacity) -> str:
    return f"{_number(capacity.value)} ({_number(capacity.low)} to {_number(capacity.high)})"


def _estimate(one: Estimate | None) -> str:
    return "-" if one is None else f"{_number(one.value)} ({_number(one.low)} to {_number(one.high)})"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"


def read_rates(path: Path) -> list[float]:
    """Requests/s of each minute, one number a line. Raises NotFound or InvalidInput."""
    if not path.is_file():
        raise NotFound(f"The trace {path} does not exist", hint="Give --trace a file with requests/s, a line a minute")
    rates: list[float] = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split(), start=1):
        try:
            rates.append(float(line))
        except ValueError:
            rates.append(-1.0)
        if not 0 <= rates[-1] < 1e9:
            hint = "write requests/s of each minute, one number a line"
            fault = Fault(field=f"--trace line {number}", value=line, message="is not a rate", hint=hint)
            raise InvalidInput([fault], source="the command")
    return rates


def read_slo(text: str) -> Slo:
    """A preset's name, or `ttft_ms=500,tpot_ms=50,attainment=0.99`. Raises InvalidInput."""
    if text in SLO_PRESETS:
        return SLO_PRESETS[text]
    values: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            values[name.strip()] = float(value)
        except ValueError:
            values = {}
            break
    is_fine = set(values) <= set(_LIMITS) and set(values) - {"attainment"} and all(v > 0 for v in values.values())
    if not is_fine or values.get("attainment", 0.5) >= 1:
        hint = f"write ttft_ms=500,tpot_ms=50,attainment=0.99 or one of {', '.join(SLO_PRESETS)}"
        raise InvalidInput([Fault(field="--slo", value=text, message="is not an SLO", hint=hint)], source="the command")
    return Slo(
        ttft_ms=values.get("ttft_ms"), tpot_ms=values.get("tpot_ms"), e2e_ms=values.get("e2e_ms"),
        attainment=values.get("attainment", 0.99),
    )  # fmt: skip


def _benchmark(asked: Asked) -> Benchmark:
    if (asked.file is None) == (asked.url is None):
        given = "both" if asked.file is not None else None
        raise _refused("FILE or --url", given, "give exactly one of the two")
    if not 0 < asked.headroom <= 1:
        raise _refused("--headroom", asked.headroom, "must be more than 0 and at most 1")
    benchmark = _of_url(asked) if asked.file is None else load_benchmark(asked.file)
    loads = [one for one in benchmark.workloads if asked.workload in {None, one.name}]
    if len(loads) != 1:
        names = ", ".join(one.name for one in benchmark.workloads)
        raise _refused("--workload", asked.workload, f"must name one workload of {names}")
    slo = loads[0].slo if asked.slo is None else read_slo(asked.slo)
    if slo is None or slo.attainment >= 1:
        raise _refused("--slo", asked.slo, "a capacity needs limits with an attainment below 1: --slo llama3.1-8b")
    if loads[0].arrival not in _OPEN or loads[0].turns is not None:
        raise _refused("--workload", loads[0].name, "must arrive by a rate (poisson, constant or gamma), without turns")
    if len(benchmark.models) != 1:
        raise _refused("models", len(benchmark.models), "a plan is made for one model")
    return replace(benchmark, workloads=(replace(loads[0], slo=slo),), trials=1)


def _of_url(asked: Asked) -> Benchmark:
    prompt, output = Fixed(value=asked.prompt_len), Fixed(value=asked.gen_tokens)
    workload = Workload(name="command-line", qps=1.0, duration_s=60.0, prompt_len=prompt, gen_tokens=output)
    model = parse_model(asked.model or "unnamed", field="--model")
    return Benchmark(models=(model,), runtimes=(RuntimeRef(name="openai"),), workloads=(workload,))


def _refused(field: str, value: object, message: str) -> InvalidInput:
    return InvalidInput([Fault(field=field, value=value, message=message)], source="the command")
