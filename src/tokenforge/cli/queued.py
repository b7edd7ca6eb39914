"""Run one benchmark on deployments that are up: what control starts for each benchmark that was queued."""

import json
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tokenforge.bench.benchmark_file import load_benchmark
from tokenforge.bench.session import Request, run_benchmark
from tokenforge.bench.withdrawn import Withdrawn
from tokenforge.cli.bench import say_why, until_stopped
from tokenforge.cli.driver_wiring import drivers_of
from tokenforge.cli.progress import PlainProgress
from tokenforge.cli.wiring import make_kit, metered
from tokenforge.settings import read_settings
from tokenforge.worker.process import hold_lifeline

if TYPE_CHECKING:
    from tokenforge.bench.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options. `targets` is a JSON list of model, runtime, url; `withdrawn` one of cancelled runs, read often.

    `taken_up_because`: why this is not the first attempt; whole trials in `out` are kept.
    """

    file: Path
    targets: Path
    out: Path
    withdrawn: Path | None
    taken_up_because: str
    lifeline_fd: int | None


def run(asked: Asked) -> int:
    """Do it; progress goes to standard error, one line a step. Control keeps what comes of it."""
    lifeline_fd = asked.lifeline_fd
    if lifeline_fd is not None:
        # at once: its whole trials are on the disk, and the next control goes on from there
        hold_lifeline(lifeline_fd, lambda: os.killpg(os.getpgrp(), signal.SIGKILL))
    attached = {(row["model"], row["runtime"]): row["url"] for row in json.loads(asked.targets.read_text())}
    settings = read_settings()
    headers = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
    request = Request(
        benchmark=load_benchmark(asked.file), folder=asked.out, command="POST /benchmarks/run",
        withdrawn=Withdrawn(asked.withdrawn), taken_up_because=asked.taken_up_because,
    )  # fmt: skip
    with PlainProgress(sys.stderr) as observer:

        async def work() -> "tuple[Outcome, BaseException | None]":
            async with (
                metered(settings, observer) as watching,
                drivers_of(settings, request.benchmark) as (offer, most_drivers),
            ):
                kit = replace(
                    make_kit(settings, watching), attached=attached, attached_headers=headers, offer=offer,
                    most_drivers=most_drivers,
                )  # fmt: skip
                return await run_benchmark(request, kit=kit)

        outcome, ended = until_stopped(work())
    if ended is not None:
        say_why(ended)
    return 0 if ended is None and outcome.succeeded else 1
