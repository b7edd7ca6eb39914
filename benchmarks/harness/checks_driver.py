"""Checks that call the driver directly: coordinated omission, many open streams, lateness, the arrival process."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from harness.clients.ours import reported
from harness.compare import arrival_p, arrival_rate, errors, match
from harness.finding import Finding
from harness.plans import plan, send
from harness.truth import TrueAnswer, truth_server
from tokenforge.domain.plan import TrialPlan
from tokenforge.domain.record import Outcome
from tokenforge.domain.workload import Arrival

_SLOT_MEAN_S, _SLOT_MAX_S, _SLOT_TOLERANCE = 1.9, 3.3, 0.01
_STREAMS, _STREAM_ITL_MS = 1000, 20
_LATENESS_RATE, _LATENESS_BOUND_MS = 1000.0, 0.5
_ARRIVAL_RATES = (20.0, 100.0, 300.0)
_ARRIVAL_REQUESTS = 1000
_ARRIVAL_SHAPES = {Arrival.POISSON: 1.0, Arrival.GAMMA: 0.5}
_TOGETHER_RATE, _TOGETHER_MOST = 600.0, 10
_LEAST_P, _SHARE_OVER = 0.01, 0.96


def slot_check(folder: Path) -> Finding:
    """One slot of 500 ms, a request each 100 ms: users wait 1.9 s on average and 3.3 s at most, sent or not."""
    trial = plan(requests=8, tokens=1, seed=1, rate=10.0, arrival=Arrival.CONSTANT)
    with truth_server(folder, "--ttft-us", "500000", "--one-slot") as server:
        result = asyncio.run(send(trial, url=server.url, folder=folder))
    waits = [(r.end_ns - r.scheduled_ns) / 1e9 for r in result.records if r.end_ns and r.scheduled_ns is not None]
    found, most = mean(waits), max(waits)
    holds = abs(found / _SLOT_MEAN_S - 1) < _SLOT_TOLERANCE and abs(most / _SLOT_MAX_S - 1) < _SLOT_TOLERANCE
    return Finding(
        holds=holds, text=f"E2E mean {found:.3f} s (1.900), max {most:.3f} s (3.300)", figures={"e2e_s": waits}
    )


def open_streams_check(folder: Path, *, seconds: float) -> Finding:
    """1,000 streams at once, a token each 20 ms: every gap seen, and how wrong."""
    tokens = max(50, round(seconds * 1000 / _STREAM_ITL_MS))
    trial = plan(requests=_STREAMS, tokens=tokens, seed=1, rate=None, streams=_STREAMS)
    with truth_server(folder, "--ttft-us", "1000000", "--itl-us", str(_STREAM_ITL_MS * 1000)) as server:
        result = asyncio.run(send(trial, url=server.url, folder=folder))
        answers = server.stop()
    seen = errors(match(reported(list(result.records), origin_ns=result.origin_ns).requests, answers))
    whole = sum(record.outcome is Outcome.OK and record.counted_tokens == tokens for record in result.records)
    p50, p99 = seen.gap_p50_ms or 0.0, seen.gap_p99_ms or 0.0
    text = f"{whole} of {_STREAMS} whole, ITL error p50 {p50:.4f} ms, p99 {p99:.3f} ms"
    figures = {"gap_p50_ms": p50, "gap_p99_ms": p99, "whole": whole, "cpu_share": result.reading.cpu_share}
    return Finding(holds=whole == _STREAMS and p99 <= 1.0, text=text, figures=figures)


def lateness_check(folder: Path, *, seconds: float) -> Finding:
    """How late requests reach the server at 1,000 a second (16 tokens each), against the plan."""
    requests = round(_LATENESS_RATE * seconds)
    trial = plan(requests=requests, tokens=16, seed=1, rate=_LATENESS_RATE)
    with truth_server(folder, "--ttft-us", "20000", "--itl-us", "2000") as server:
        result = asyncio.run(send(trial, url=server.url, folder=folder))
        answers = server.stop()
    seen = errors(match(reported(list(result.records), origin_ns=result.origin_ns).requests, answers))
    p50, p99 = seen.late_p50_ms or 0.0, seen.late_p99_ms or 0.0
    text = f"at {arrival_rate(answers) or 0:.0f} req/s arrivals are late by p50 {p50:.3f} ms, p99 {p99:.3f} ms"
    figures = {"late_p50_ms": p50, "late_p99_ms": p99, "lag_p99_ms": result.reading.lag_p99_ms}
    return Finding(holds=p99 <= _LATENESS_BOUND_MS and len(answers) == requests, text=text, figures=figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    """One arrival process to test."""

    rate: float
    arrival: Arrival
    seed: int


def arrivals_check(folder: Path, *, seeds: int) -> Finding:
    """Kolmogorov-Smirnov of 1,000 arrivals as the server saw them, per seed, rate and process.

    Several drivers run at once, each with a server of its own, so that together they send at most 600 requests a second
    and wake each other little: ten at 20 req/s, six at 100, two at 300. Answers are one token after 1 ms, so the
    arrivals are the load.
    """
    figures: dict[str, object] = {}
    shares: list[float] = []
    for rate in _ARRIVAL_RATES:
        for arrival in _ARRIVAL_SHAPES:
            processes = [_Process(rate=rate, arrival=arrival, seed=seed) for seed in range(1, seeds + 1)]
            ps = asyncio.run(_test_all(processes, folder=folder))
            share = sum(p > _LEAST_P for p in ps) / len(ps)
            shares.append(share)
            figures[f"{arrival} {rate:g}"] = {"share_over_0.01": share, "p": ps}
            print(f"      {arrival} at {rate:g} req/s: p > {_LEAST_P} in {share:.0%}, least {min(ps):.4f}", flush=True)
    text = f"p > {_LEAST_P} in at least {min(shares):.0%} of {seeds} seeds at each rate and process"
    return Finding(holds=min(shares) >= _SHARE_OVER, text=text, figures=figures)


async def _test_all(processes: Sequence[_Process], *, folder: Path) -> list[float]:
    places = asyncio.Semaphore(max(1, min(_TOGETHER_MOST, round(_TOGETHER_RATE / processes[0].rate))))

    async def one(process: _Process) -> float:
        async with places:
            return await _test(process, folder=folder / f"{process.arrival}-{process.rate:g}-{process.seed}")

    return list(await asyncio.gather(*(one(process) for process in processes)))


async def _test(process: _Process, *, folder: Path) -> float:
    await asyncio.to_thread(folder.mkdir)
    shape = _ARRIVAL_SHAPES[process.arrival]
    trial: TrialPlan = await asyncio.to_thread(
        plan,
        requests=_ARRIVAL_REQUESTS,
        tokens=1,
        seed=process.seed,
        rate=process.rate,
        arrival=process.arrival,
        burstiness=shape,
    )
    with truth_server(folder, "--ttft-us", "1000") as server:
        await send(trial, url=server.url, folder=folder)
        answers: list[TrueAnswer] = await asyncio.to_thread(server.stop)
    p = arrival_p([answer.arrival_ns for answer in answers], rate=process.rate, shape=shape)
    return 0.0 if p is None else p
