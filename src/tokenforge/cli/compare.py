"""`compare`: two sides, one verdict, an exit code that a pipeline can act on."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from tokenforge.analysis.compare import Verdict
from tokenforge.bench.comparing import Means, run_comparison
from tokenforge.bench.driver.job import Endpoint
from tokenforge.bench.outcome import Outcome
from tokenforge.bench.parity import ParityAsk
from tokenforge.bench.session import Request
from tokenforge.cli.bench import say_why, until_stopped
from tokenforge.cli.compare_asked import Asked, command_text, read_asked, read_restart
from tokenforge.cli.progress import LiveProgress, PlainProgress
from tokenforge.cli.results import remember, show_outcome
from tokenforge.cli.wiring import counted
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.errors import TokenForgeError, WorkerFailed
from tokenforge.models.tokenizers import load_tokenizer
from tokenforge.settings import Settings, read_settings

_EXIT_CODES = {Verdict.BETTER: 0, Verdict.EQUIVALENT: 0, Verdict.WORSE: 1}
_UNDECIDED = 2


def run(asked: Asked) -> int:
    """Compare, print, write. Returns the exit code: 1 says "worse" and nothing else, so every error is a 2."""
    try:
        return _run(asked)
    except TokenForgeError as error:
        sys.stderr.write(f"error: {error}\n")
        if isinstance(error, WorkerFailed):
            sys.stderr.write("".join(f"  {line}\n" for line in error.last_words[-10:]))
        return _UNDECIDED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return _UNDECIDED


def exit_code(document: Mapping[str, object]) -> int:
    """0: better or equivalent, 1: worse, 2: anything else."""
    summary = document.get("summary")
    found = summary.get("head_to_head") if isinstance(summary, Mapping) else None
    verdict = found.get("verdict") if isinstance(found, Mapping) else None
    return _EXIT_CODES.get(Verdict(str(verdict)), _UNDECIDED) if verdict in set(Verdict) else _UNDECIDED


def _run(asked: Asked) -> int:
    benchmark = read_asked(asked)
    folder = asked.out or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-compare"
    request = Request(
        benchmark=benchmark,
        folder=folder,
        command=command_text(asked, benchmark),
        endpoint=Endpoint.CHAT if asked.chat else Endpoint.COMPLETIONS,
        calibrate=asked.calibrate,
    )
    settings = read_settings()
    means = _means(asked, benchmark, settings)
    console = Console(stderr=True)
    with LiveProgress(console) if console.is_terminal else PlainProgress(sys.stderr) as observer:
        _say_beforehand(benchmark, observer)
        work = counted(settings, observer, lambda kit: run_comparison(request, means, kit=kit))
        outcome, ended = until_stopped(work)
    return _finish(outcome, ended, as_json=asked.as_json)


def _finish(outcome: Outcome, ended: BaseException | None, *, as_json: bool) -> int:
    remember(outcome)
    show_outcome(outcome, as_json=as_json)
    if ended is not None:
        say_why(ended)
        return _UNDECIDED
    return exit_code(outcome.document)


def _means(asked: Asked, benchmark: Benchmark, settings: Settings) -> Means:
    key = settings.openai_api_key
    return Means(
        headers={"Authorization": f"Bearer {key}"} if key else {},
        model=None if asked.model is None and asked.file is None else str(benchmark.models[0]),
        tokenizer=None if asked.tokenizer is None else load_tokenizer(asked.tokenizer),
        restart=read_restart(asked.restart, []),
        parity=ParityAsk(seed=benchmark.seed) if asked.parity else None,
    )


def _say_beforehand(benchmark: Benchmark, observer: LiveProgress | PlainProgress) -> None:
    """What will decide is said before anything is measured."""
    spec = benchmark.comparison
    assert spec is not None
    told = f"{spec.metric} decides; within {100 * spec.delta:g} % is equivalent; {spec.quads} quads of 4 trials"
    observer.phase("benchmark", told)
