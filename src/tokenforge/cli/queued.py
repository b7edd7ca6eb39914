"""Run one benchmark on deployments that are up: what control starts for each benchmark that was queued."""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tokenforge.bench.benchmark_file import load_benchmark
from tokenforge.bench.session import Request, run_benchmark
from tokenforge.bench.withdrawn import Withdrawn
from tokenforge.cli.bench import say_why, until_stopped
from tokenforge.cli.progress import PlainProgress
from tokenforge.cli.results import remember
from tokenforge.cli.wiring import make_kit, metered
from tokenforge.settings import read_settings
from tokenforge.worker.process import hold_lifeline

if TYPE_CHECKING:
    from tokenforge.bench.outcome import Outcome


def run(*, file: Path, targets: Path, out: Path, withdrawn: Path | None, lifeline_fd: int | None) -> int:
    """Do it; progress goes to standard error, one line a step.

    `targets` is a JSON list of model, runtime, url; `withdrawn` one of runs that are cancelled, read again and again.
    """
    if lifeline_fd is not None:
        hold_lifeline(lifeline_fd, lambda: os.kill(os.getpid(), signal.SIGINT))
    attached = {(row["model"], row["runtime"]): row["url"] for row in json.loads(targets.read_text())}
    settings = read_settings()
    headers = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
    request = Request(
        benchmark=load_benchmark(file), folder=out, command="POST /benchmarks/run", withdrawn=Withdrawn(withdrawn)
    )
    with PlainProgress(sys.stderr) as observer:

        async def work() -> "tuple[Outcome, BaseException | None]":
            async with metered(settings, observer) as watching:
                kit = replace(make_kit(settings, watching), attached=attached, attached_headers=headers)
                return await run_benchmark(request, kit=kit)

        outcome, ended = until_stopped(work())
    remember(outcome)
    if ended is not None:
        say_why(ended)
    return 0 if ended is None and outcome.succeeded else 1
