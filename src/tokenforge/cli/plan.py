"""`bench --plan`: what would be done, without a hub, an engine, or a GPU."""

from tokenforge.bench.environment import detect_accelerator
from tokenforge.bench.order import trial_order
from tokenforge.cli.show import print_json, print_table
from tokenforge.domain.benchmark import Benchmark, without_secrets
from tokenforge.domain.canonical import sha256_hex, to_plain
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.workload import Arrival, Fixed, Length, Workload
from tokenforge.runtimes.registry import find_plug


def print_plan(benchmark: Benchmark, *, url: str | None, as_json: bool) -> None:
    """Check the runtimes' recipes and print runs, load and order."""
    benchmark = without_secrets(benchmark)
    environments = {} if url else _environments(benchmark)
    steps = trial_order(
        runtimes=len(benchmark.runtimes), workloads=len(benchmark.workloads), trials=benchmark.trials,
        order=benchmark.order, seed=benchmark.seed,
    )  # fmt: skip
    if as_json:
        document = {"spec": to_plain(benchmark), "spec_hash": sha256_hex(benchmark), "url": url}
        print_json({**document, "environments": environments, "order": steps})
        return
    for model in benchmark.models:
        rows = [_row(workload, benchmark) for workload in benchmark.workloads]
        columns = ("workload", "arrivals", "per trial", "prompt tokens", "output tokens", "trials")
        print_table(columns, rows, title=f"{model} on {url or ', '.join(map(str, benchmark.runtimes))}")
    for name, recipe in environments.items():
        print(f"{name}: environment with {', '.join(recipe) or 'this installation'}")
    print(f"order: {benchmark.order}, {len(steps)} trials in all, seed {benchmark.seed}")
    print(f"{_time_text(benchmark)}; spec {sha256_hex(benchmark)[:12]}")


def _environments(benchmark: Benchmark) -> dict[str, tuple[str, ...]]:
    accelerator = detect_accelerator()
    named: dict[str, tuple[str, ...]] = {}
    for ref in benchmark.runtimes:
        plug = find_plug(ref.name)
        can = plug.quants.get(accelerator, frozenset())
        if benchmark.quant is not None and benchmark.quant not in can:
            hint = f"on {accelerator} {ref.name} loads: {', '.join(sorted(can))}"
            raise InvalidInput([Fault(field="quant", value=str(benchmark.quant), message="can't be loaded", hint=hint)])
        recipe = plug.recipe(ref.version, accelerator)
        named[f"{ref.name}@{recipe.version}"] = recipe.requirements[:4]
    return named


def _row(workload: Workload, benchmark: Benchmark) -> tuple[str, ...]:
    if workload.arrival is Arrival.TRACE and workload.trace is not None:
        lengths = ("from the trace", "from the trace")
    else:
        lengths = (_length_text(workload.prompt_len), _length_text(workload.gen_tokens))
    return (workload.name, _arrival_text(workload), _bound_text(workload), *lengths, str(benchmark.trials))


def _arrival_text(workload: Workload) -> str:
    talks = "" if workload.turns is None else f", conversations of {_length_text(workload.turns)} turns"
    if workload.arrival is Arrival.CONCURRENCY:
        return f"{workload.concurrency} clients, closed loop{talks}"
    if workload.trace is not None:
        return f"{workload.trace.format} trace x {workload.trace.speed:g}"
    if workload.arrival is Arrival.STEP:
        return "step " + ", ".join(f"{step.qps:g}/s for {step.duration_s:g} s" for step in workload.steps) + talks
    return f"{workload.arrival} {workload.qps:g}/s{talks}"


def _bound_text(workload: Workload) -> str:
    if workload.trace is not None and not (workload.duration_s or workload.requests):
        return f"{workload.trace.limit or 'all'} requests"
    parts = [f"{workload.duration_s:g} s"] if workload.duration_s else []
    return " or ".join(parts + ([f"{workload.requests} requests"] if workload.requests else []))


def _length_text(length: Length) -> str:
    if isinstance(length, Fixed):
        return str(length.value)
    values = ", ".join(f"{key} {value}" for key, value in dict(_plain(length)).items())
    return f"{type(length).__name__.lower()} ({values})"


def _plain(length: Length) -> dict[str, object]:
    plain = to_plain(length)
    assert isinstance(plain, dict)
    return plain


def _time_text(benchmark: Benchmark) -> str:
    """How long arrivals last, where the file says it; traces and loops bounded by requests end when they end."""
    known = [seconds for workload in benchmark.workloads if (seconds := _workload_seconds(workload)) is not None]
    total = sum(known) * benchmark.trials * len(benchmark.runtimes) * len(benchmark.models)
    rest = "" if len(known) == len(benchmark.workloads) else ", and what the other workloads take"
    return f"about {total:.0f} s of arrivals{rest}"


def _workload_seconds(workload: Workload) -> float | None:
    if workload.duration_s is not None:
        return workload.duration_s
    return workload.requests / workload.qps if workload.requests and workload.qps else None
