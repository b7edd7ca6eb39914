"""One trial: a truth server, one client, one load; what it reported against what happened, and what it cost.

A client that fails, hangs or writes something unreadable is a trial with a `failure`, never an exception.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.child import ChildFailed, Cost, run_measured
from harness.clients.base import Client, Job, Load, Reported
from harness.compare import Errors, arrival_p, arrival_rate, errors, match, server_late_ms, stream_rate
from harness.home import Home
from harness.plans import write_prompts
from harness.truth import TrueAnswer, truth_server

TTFT_US, ITL_US = 50_000, 10_000
STREAM_TTFT_US, STREAM_ITL_US = 10_000, 1_000

_STARTUP_S = 60.0
_STREAMS_S = 90.0
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, IndexError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one trial showed.

    `completed` and `failed` are the client's own counts, `arrived` is the server's. `cpu_s` is that of the whole
    process tree from start to end; `cpu_start_s` the part before the first request came. `cpu_per_1k_s` is CPU seconds
    per 1,000 tokens streamed, from the first arrival to the last token (in a closed loop: to the last arrival, because
    tokens that were sent then may not have been read), so without start-up and without reports; `cpu_whole_per_1k_s`
    from the first arrival to the end of the process, for some read first and parse or count later.
    `server_late_p99_ms` is how late the truth server sent its tokens: where it is large, the machine was busy.
    """

    completed: int
    failed: int
    arrived: int
    rate: float | None
    arrival_p: float | None
    errors: Errors
    first_request_s: float
    wall_s: float
    cpu_s: float
    cpu_start_s: float
    cpu_per_1k_s: float
    cpu_whole_per_1k_s: float
    tokens_per_s: float | None
    server_late_p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A trial and its outcome: `figures`, or the reason why there are none."""

    client: str
    load: Load
    command: tuple[str, ...] = ()
    figures: Figures | None = None
    failure: str | None = None


def run_trial(client: Client, load: Load, *, home: Home, folder: Path) -> Trial:
    """Offer `load` with `client` in a fresh `folder`, which is removed again when all went well."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ttft_us, itl_us = times_us(load)
    argv: tuple[str, ...] = ()
    try:
        with truth_server(folder, "--ttft-us", str(ttft_us), "--itl-us", str(itl_us)) as server:
            job = Job(load=load, url=server.url, folder=folder, tokenizer=home.tokenizer())
            write_prompts(job.prompts, load.requests, tokens=load.tokens)
            command = client.command(home, job)
            argv = command.argv
            cost = run_measured(argv, env=command.env, folder=folder, limit_s=_limit_s(load))
            answers = server.stop()
        found = figures(client.read(job), answers, cost=cost, load=load)
    except (ChildFailed, *_UNREADABLE) as error:
        return Trial(client=client.name, load=load, command=argv, failure=_words(error))
    shutil.rmtree(folder, ignore_errors=True)
    return Trial(client=client.name, load=load, command=argv, figures=found)


def figures(reported: Reported, answers: Sequence[TrueAnswer], *, cost: Cost, load: Load) -> Figures:
    """Put together what the client, the server and the system say. Raises ValueError when nothing arrived."""
    if not answers or not reported.requests:
        raise ValueError(f"{len(answers)} requests arrived, {len(reported.requests)} were reported as completed")
    pairs = match(reported.requests, answers)
    ttft_us, itl_us = times_us(load)
    counted = [answer for _, answer in pairs]
    first_ns = min(answer.arrival_ns for answer in counted)
    tokens_per_s = None if load.streams is None else stream_rate(counted, streams=load.streams)
    start_s = cost.cpu_until(first_ns)
    arrivals = [answer.arrival_ns for answer in counted]
    return Figures(
        completed=len(reported.requests),
        failed=reported.failed,
        arrived=len(answers),
        rate=arrival_rate(counted),
        arrival_p=None if load.rate is None else arrival_p(arrivals, rate=load.rate),
        errors=errors(pairs),
        first_request_s=(min(answer.arrival_ns for answer in answers) - cost.started_ns) / 1e9,
        wall_s=(cost.ended_ns - cost.started_ns) / 1e9,
        cpu_s=cost.cpu_s,
        cpu_start_s=start_s,
        cpu_per_1k_s=_cpu_per_1k_s(counted, cost, tokens_per_s=tokens_per_s),
        cpu_whole_per_1k_s=(cost.cpu_s - start_s) / sum(len(answer.sent_ns) for answer in counted) * 1000,
        tokens_per_s=tokens_per_s,
        server_late_p99_ms=server_late_ms(counted, ttft_us=ttft_us, itl_us=itl_us),
    )


def _cpu_per_1k_s(answers: Sequence[TrueAnswer], cost: Cost, *, tokens_per_s: float | None) -> float:
    first_ns = min(answer.arrival_ns for answer in answers)
    if tokens_per_s is None:
        last_ns = max(answer.sent_ns[-1] for answer in answers if answer.sent_ns)
        tokens: float = sum(len(answer.sent_ns) for answer in answers)
    else:
        last_ns = max(answer.arrival_ns for answer in answers)
        tokens = tokens_per_s * (last_ns - first_ns) / 1e9
    return (cost.cpu_until(last_ns) - cost.cpu_until(first_ns)) / tokens * 1000


def times_us(load: Load) -> tuple[int, int]:
    """The server's TTFT and ITL for a load: a closed loop gets short ones, so that the client is what limits it."""
    return (STREAM_TTFT_US, STREAM_ITL_US) if load.rate is None else (TTFT_US, ITL_US)


def is_held(trial: Trial, *, bound_ms: float) -> bool:
    """The rate was reached, everything completed, and the p99 of every error and of the lateness is within the bound.

    Drawn at random, n arrivals reach a rate within about 1/sqrt(n) of the asked one; 2.5 times that is allowed.
    """
    found, asked = trial.figures, trial.load.rate
    if found is None or asked is None or found.rate is None:
        return False
    if found.failed or found.completed < 0.99 * trial.load.requests:
        return False
    if found.rate < asked * (1 - max(0.02, 2.5 / found.arrived**0.5)):
        return False
    seen = found.errors
    p99s = [seen.ttft_p99_ms, seen.gap_p99_ms, seen.late_p99_ms]
    return seen.ttft_p99_ms is not None and all(p99 is None or p99 <= bound_ms for p99 in p99s)


def _limit_s(load: Load) -> float:
    return _STARTUP_S + (_STREAMS_S if load.rate is None else load.requests / load.rate * 1.5)


def _words(error: BaseException) -> str:
    text = str(error) if isinstance(error, ChildFailed | ValueError) else f"{type(error).__name__}: {error}"
    return text.replace(f"{Path.home()}{os.sep}", "~/")
