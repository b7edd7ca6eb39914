"""`bench`: from what was asked on the command line to an outcome on the terminal."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console

from tokenforge.bench.benchmark_file import load_benchmark
from tokenforge.bench.driver.job import Endpoint
from tokenforge.bench.session import Request, run_benchmark, run_on_target
from tokenforge.bench.targets import Kit, url_target
from tokenforge.cli.plan import print_plan
from tokenforge.cli.progress import LiveProgress, PlainProgress
from tokenforge.cli.wiring import counted
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.errors import Fault, InvalidInput, WorkerFailed
from tokenforge.domain.model import parse_model
from tokenforge.domain.placement import Placement
from tokenforge.domain.runtime import RuntimeRef
from tokenforge.domain.workload import Arrival, Fixed, Workload
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.settings import Settings, read_settings

if TYPE_CHECKING:
    from tokenforge.bench.outcome import Outcome

_DEFAULT_DURATION_S = 60.0

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options of the command as the user gave them; None is "not given"."""

    file: Path | None
    url: str | None
    model: str | None
    rate: float | None
    concurrency: int | None
    duration_s: float | None
    requests: int | None
    prompt_len: int
    gen_tokens: int
    tokenizer: Path | None
    chat: bool
    trace: Path | None
    trials: int | None
    seed: int | None
    processes: int | None
    plan_only: bool
    calibrate: bool
    out: Path | None
    as_json: bool


def run(asked: Asked) -> int:
    """Do it. Returns the exit code; raises TokenForgeError for input that cannot be used."""
    _check(asked)
    benchmark = _from_file(asked.file, asked) if asked.file is not None else _from_options(asked)
    if benchmark.target is Placement.KUBERNETES and not asked.plan_only:
        hint = f"ask a platform that has a cluster: tokenforge runs submit {asked.file} --server URL"
        fault = Fault(
            field="target", value="kubernetes", message="is not for this command, which measures here", hint=hint
        )
        raise InvalidInput([fault], source=str(asked.file))
    if asked.plan_only:
        print_plan(benchmark, url=asked.url, as_json=asked.as_json)
        return 0
    name = asked.file.stem if asked.file is not None else "url"
    folder = asked.out or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{name}"
    request = Request(
        benchmark=benchmark,
        folder=folder,
        command=_command_text(asked),
        endpoint=Endpoint.CHAT if asked.chat else Endpoint.COMPLETIONS,
        processes=asked.processes,
        calibrate=asked.calibrate,
    )
    console = Console(stderr=True)
    with LiveProgress(console) if console.is_terminal else PlainProgress(sys.stderr) as observer:
        outcome, ended = until_stopped(_work(asked, request, observer))
    from tokenforge.cli.results import remember, show_outcome

    remember(outcome)
    show_outcome(outcome, as_json=asked.as_json)
    if ended is not None:
        say_why(ended)
    return 0 if ended is None and outcome.succeeded else 1


async def _work(
    asked: Asked, request: Request, observer: LiveProgress | PlainProgress
) -> "tuple[Outcome, BaseException | None]":
    settings = read_settings()
    return await counted(settings, observer, lambda kit: _measure(asked, request, settings=settings, kit=kit))


async def _measure(
    asked: Asked, request: Request, *, settings: Settings, kit: Kit
) -> "tuple[Outcome, BaseException | None]":
    if asked.url is None:
        return await run_benchmark(request, kit=kit)
    key = settings.openai_api_key
    target = await asyncio.to_thread(
        url_target,
        asked.url,
        model=asked.model,
        runtime="url",
        headers={"Authorization": f"Bearer {key}"} if key else {},
        tokenizer=None if asked.tokenizer is None else load_tokenizer(asked.tokenizer),
    )
    return await run_on_target(request, target, kit=kit)


def until_stopped(work: Coroutine[object, object, Done]) -> Done:
    """Run to the end; the first SIGINT or SIGTERM asks for an orderly end, further ones are ignored meanwhile."""

    async def main() -> Done:
        task = asyncio.create_task(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _cancel_once, task)
        return await task

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _cancel_once(task: "asyncio.Task[Done]") -> None:
    if task.cancelling() == 0:
        task.cancel()


def _check(asked: Asked) -> None:
    faults: list[Fault] = []
    if (asked.file is None) == (asked.url is None):
        given = "both" if asked.file is not None else None
        faults.append(Fault(field="FILE or --url", value=given, message="give exactly one of the two"))
    if asked.url is not None and (asked.rate is None) == (asked.concurrency is None):
        both = None if asked.rate is None else f"{asked.rate} and {asked.concurrency}"
        faults.append(Fault(field="--rate or --concurrency", value=both, message="give exactly one of the two"))
    for option, value in (
        ("--rate", asked.rate), ("--concurrency", asked.concurrency), ("--duration", asked.duration_s),
        ("--requests", asked.requests), ("--prompt-len", asked.prompt_len), ("--gen-tokens", asked.gen_tokens),
        ("--trials", asked.trials),
    ):  # fmt: skip
        if value is not None and not value > 0:
            faults.append(Fault(field=option, value=value, message="must be more than 0"))
    if faults:
        raise InvalidInput(faults, source="the command")


def _from_file(file: Path, asked: Asked) -> Benchmark:
    benchmark = load_benchmark(file)
    if asked.model is not None:
        benchmark = replace(benchmark, models=(parse_model(asked.model, field="--model"),))
    if asked.trace is not None:
        benchmark = replace(benchmark, workloads=tuple(_with_trace(w, asked.trace) for w in benchmark.workloads))
    return replace(
        benchmark,
        trials=benchmark.trials if asked.trials is None else asked.trials,
        seed=benchmark.seed if asked.seed is None else asked.seed,
    )


def _with_trace(workload: Workload, path: Path) -> Workload:
    if workload.trace is None:
        return workload
    return replace(workload, trace=replace(workload.trace, path=str(path)))


def _from_options(asked: Asked) -> Benchmark:
    bounded = asked.duration_s is not None or asked.requests is not None
    workload = Workload(
        name="command-line",
        arrival=Arrival.POISSON if asked.concurrency is None else Arrival.CONCURRENCY,
        qps=asked.rate,
        concurrency=asked.concurrency,
        duration_s=asked.duration_s if bounded else _DEFAULT_DURATION_S,
        requests=asked.requests,
        prompt_len=Fixed(value=asked.prompt_len),
        gen_tokens=Fixed(value=asked.gen_tokens),
    )
    return Benchmark(
        models=(parse_model(asked.model or "unnamed", field="--model"),),
        runtimes=(RuntimeRef(name="openai"),),
        workloads=(workload,),
        seed=asked.seed or 0,
        trials=asked.trials or 1,
    )


def _command_text(asked: Asked) -> str:
    """The command again, for the record; a password in the URL is left out."""
    if asked.file is not None:
        return f"tokenforge bench {asked.file}"
    load = f"--rate {asked.rate:g}" if asked.rate is not None else f"--concurrency {asked.concurrency}"
    scheme, _, rest = (asked.url or "").partition("://")
    return f"tokenforge bench --url {scheme}://{rest.rpartition('@')[2]} {load}"


def say_why(ended: BaseException) -> None:
    """What ended a benchmark early, on standard error, with the last words of a worker that did."""
    what = "interrupted" if isinstance(ended, asyncio.CancelledError | KeyboardInterrupt) else f"failed: {ended}"
    sys.stderr.write(f"\nThe benchmark {what}\n")
    if isinstance(ended, WorkerFailed) and ended.last_words:
        sys.stderr.write("Last words of the worker:\n" + "".join(f"  {line}\n" for line in ended.last_words[-10:]))
