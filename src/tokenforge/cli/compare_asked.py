"""What `compare` was asked, as a benchmark of one workload with two sides; every fault at once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tokenforge.analysis.gate_reading import METRICS
from tokenforge.analysis.intervals import MIN_TRIALS
from tokenforge.analysis.quad_metric import default_metric
from tokenforge.bench.benchmark_file import load_benchmark
from tokenforge.bench.comparing import comparison_trials
from tokenforge.bench.probe import base_url
from tokenforge.cli.share_text import read_share
from tokenforge.domain.benchmark import Benchmark, Order, hide_secrets, without_userinfo
from tokenforge.domain.comparison import SIDES, ComparisonSpec, Restart, Side
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.model import ModelRef, parse_model
from tokenforge.domain.runtime import RuntimeRef, parse_runtime
from tokenforge.domain.workload import Arrival, Fixed, Workload

_CONCURRENCY, _REQUESTS, _DURATION_S = 4, 32, 20.0
_PROMPT_LEN, _GEN_TOKENS = 128, 32
_MOST_QUADS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options as given; None is "not given"."""

    a: str
    b: str
    model: str | None
    file: Path | None
    workload: str | None
    rate: float | None
    concurrency: int | None
    duration_s: float | None
    requests: int | None
    prompt_len: int | None
    gen_tokens: int | None
    engine_args_a: tuple[str, ...]
    engine_args_b: tuple[str, ...]
    quads: int
    delta: str
    metric: str | None
    restart: str | None
    seed: int | None
    tokenizer: Path | None
    chat: bool
    parity: bool
    calibrate: bool
    out: Path | None
    as_json: bool

    @property
    def load(self) -> Mapping[str, float | int | None]:
        """The options that describe a load."""
        return {
            "--rate": self.rate, "--concurrency": self.concurrency, "--duration": self.duration_s,
            "--requests": self.requests, "--prompt-len": self.prompt_len, "--gen-tokens": self.gen_tokens,
        }  # fmt: skip


def read_asked(asked: Asked) -> Benchmark:
    """The benchmark to run, its `comparison` set. Raises InvalidInput with every fault, NotFound for the file."""
    base = None if asked.file is None else load_benchmark(asked.file)
    faults: list[Fault] = []
    sides = _sides(asked, base, faults)
    workload = _workload(asked, base, faults)
    metric = _metric(asked.metric, workload, faults)
    delta = read_share("--delta", asked.delta, faults)
    if not MIN_TRIALS <= asked.quads <= _MOST_QUADS:
        message = f"must be from {MIN_TRIALS} (what an interval needs) to {_MOST_QUADS}"
        faults.append(Fault(field="--quads", value=asked.quads, message=message))
    read_restart(asked.restart, faults)
    _check_model(asked, base, sides, faults)
    if faults:
        raise InvalidInput(faults, source="the command")
    models = base.models if base is not None and asked.model is None else _models(asked.model)
    return replace(
        base or Benchmark(models=models, runtimes=(), workloads=()),
        models=models,
        runtimes=tuple(side.runtime or RuntimeRef(name="openai") for side in sides),
        workloads=(workload,),
        trials=comparison_trials(asked.quads),
        seed=asked.seed if asked.seed is not None else 0 if base is None else base.seed,
        order=Order.INTERLEAVED,
        engine_args={},
        comparison=ComparisonSpec(sides=sides, quads=asked.quads, metric=metric, delta=delta),
    )


def read_restart(text: str | None, faults: list[Fault]) -> Restart | None:
    """`every`, `quad` or `never`."""
    if text is None or text in set(Restart):
        return None if text is None else Restart(text)
    hint = f"write one of {', '.join(Restart)}"
    faults.append(Fault(field="--restart", value=text, message="is not a rule for restarts", hint=hint))
    return None


def command_text(asked: Asked, benchmark: Benchmark) -> str:
    """The command again, for the record: no password of an address, no secret of an engine argument."""
    assert benchmark.comparison is not None
    words = ["tokenforge compare", *map(_side_text, benchmark.comparison.sides)]
    options = {"--model": asked.model, "--file": asked.file, "--workload": asked.workload, **asked.load}
    options |= {"--metric": asked.metric, "--restart": asked.restart, "--seed": asked.seed}
    words += [f"{option} {value:g}" if isinstance(value, float) else f"{option} {value}"
              for option, value in options.items() if value is not None]  # fmt: skip
    for name, side in zip(SIDES, benchmark.comparison.sides, strict=True):
        given = asked.engine_args_a if name == "A" else asked.engine_args_b
        keys = [text.partition("=")[0] for text in given]
        shown = hide_secrets({key: side.engine_args[key] for key in keys})
        words += [f"--engine-args-{name.lower()} {key}={value}" for key, value in shown.items()]
    return " ".join([*words, f"--quads {asked.quads}", f"--delta {asked.delta}"])


def _side_text(side: Side) -> str:
    return str(side.runtime) if side.url is None else without_userinfo(side.url)


def _sides(asked: Asked, base: Benchmark | None, faults: list[Fault]) -> tuple[Side, ...]:
    given = ((asked.a, asked.engine_args_a), (asked.b, asked.engine_args_b))
    sides = tuple(_side(name, text, args, base, faults) for name, (text, args) in zip(SIDES, given, strict=True))
    urls = [side.url for side in sides if side.url is not None]
    if len(urls) == len(SIDES) and urls[0] == urls[1]:
        message = "is A as well: prompts of one side would be in its prefix cache for the other"
        faults.append(Fault(field="B", value=asked.b, message=message, hint="start a second server"))
    return sides


def _side(name: str, text: str, args: Sequence[str], base: Benchmark | None, faults: list[Fault]) -> Side:
    option = f"--engine-args-{name.lower()}"
    if "://" in text:
        if args:
            message = "has no effect: the server already runs"
            faults.append(Fault(field=option, value=args[0], message=message, hint="start it with its arguments"))
        return Side(url=_url(name, text, faults))
    try:
        runtime = parse_runtime(text, field=name)
    except InvalidInput as error:
        faults.extend(error.faults)
        return Side()
    mine = dict(base.engine_args.get(runtime.name, {})) if base is not None else {}
    return Side(runtime=runtime, engine_args={**mine, **_engine_args(option, args, faults)})


def _url(name: str, text: str, faults: list[Fault]) -> str:
    try:
        return base_url(text)
    except InvalidInput as error:
        faults.extend(replace(fault, field=name) for fault in error.faults)
        return text


def _engine_args(option: str, given: Sequence[str], faults: list[Fault]) -> dict[str, object]:
    """`KEY=VALUE`: a value that is JSON (64, 0.5, true, [1]) is read as such, anything else is text."""
    found: dict[str, object] = {}
    for text in given:
        key, separator, value = text.partition("=")
        if not separator or not key:
            faults.append(Fault(field=option, value=text, message="is not KEY=VALUE", hint="write max_num_seqs=64"))
            continue
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def _workload(asked: Asked, base: Benchmark | None, faults: list[Fault]) -> Workload:
    if base is None:
        if asked.workload is not None:
            message = "names a workload of --file, which is not given"
            faults.append(Fault(field="--workload", value=asked.workload, message=message))
        return _load(asked, faults)
    for option, value in asked.load.items():
        if value is not None:
            message = "has no effect: the file says the load"
            faults.append(Fault(field=option, value=value, message=message, hint="leave out one of the two"))
    chosen = [one for one in base.workloads if asked.workload in {None, one.name}]
    if len(chosen) != 1:
        names = ", ".join(one.name for one in base.workloads)
        faults.append(Fault(field="--workload", value=asked.workload, message=f"must name one workload of {names}"))
    return (chosen or base.workloads)[0]


def _load(asked: Asked, faults: list[Fault]) -> Workload:
    for option, value in asked.load.items():
        if value is not None and not value > 0:
            faults.append(Fault(field=option, value=value, message="must be more than 0"))
    if asked.rate is not None and asked.concurrency is not None:
        both = f"{asked.rate:g} and {asked.concurrency}"
        faults.append(Fault(field="--rate and --concurrency", value=both, message="give one of the two"))
    is_open, is_bounded = asked.rate is not None, asked.duration_s is not None or asked.requests is not None
    return Workload(
        name="command-line",
        arrival=Arrival.POISSON if is_open else Arrival.CONCURRENCY,
        qps=asked.rate,
        concurrency=None if is_open else asked.concurrency or _CONCURRENCY,
        duration_s=asked.duration_s if is_bounded or not is_open else _DURATION_S,
        requests=asked.requests if is_bounded or is_open else _REQUESTS,
        prompt_len=Fixed(value=asked.prompt_len or _PROMPT_LEN),
        gen_tokens=Fixed(value=asked.gen_tokens or _GEN_TOKENS),
    )


def _metric(name: str | None, workload: Workload, faults: list[Fault]) -> str:
    if name is None:
        return default_metric(is_open=workload.arrival is not Arrival.CONCURRENCY)
    if name not in METRICS:
        hint = f"there are: {', '.join(METRICS)}"
        faults.append(Fault(field="--metric", value=name, message="is not a metric", hint=hint))
    elif name == "goodput" and workload.slo is None:
        hint = "use a --file whose workload has slo"
        faults.append(Fault(field="--metric", value=name, message="needs limits that a request must meet", hint=hint))
    return name


def _check_model(asked: Asked, base: Benchmark | None, sides: Sequence[Side], faults: list[Fault]) -> None:
    if base is not None and asked.model is None and len(base.models) > 1:
        message = "has several models, and a comparison is of one"
        faults.append(Fault(field="--file", value=str(asked.file), message=message, hint="choose one with --model"))
    if base is None and asked.model is None and any(side.url is None for side in sides):
        hint = "write --model synthetic:small, a hub id, or a folder"
        faults.append(Fault(field="--model", value=None, message="is needed to start a runtime", hint=hint))
    if asked.model is not None:
        try:
            parse_model(asked.model, field="--model")
        except InvalidInput as error:
            faults.extend(error.faults)


def _models(model: str | None) -> tuple[ModelRef, ...]:
    return (parse_model(model or "unnamed", field="--model"),)
