"""Throughput of the gateway and of the load generator with metrics on and off, in mirrored order; and with traces.

    make bench-telemetry ARGS="--quads 8"

A null server answers at once, so what is measured is what stands before it. Each quad is on, off, off, on (or the
mirror image), so that a drift of the machine cancels. Printed: requests/s of each side, and on against off as the
geometric mean over quads with its spread.
Exit code 1 where metrics cost over 3 % beyond the spread.
"""

import argparse
import asyncio
import contextlib
import math
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from driver_jobs import closed_plan, drive_job
from prometheus_client import CollectorRegistry
from scipy.stats import t as student

from telemetry.gateway_child import MODEL
from tokenforge.bench.calibration.calibrate import NULL_SERVER
from tokenforge.bench.driver.job import Progress
from tokenforge.bench.driver.offer import offer
from tokenforge.bench.metered import MeteredObserver
from tokenforge.bench.observe import Silence, TrialStart
from tokenforge.domain.record import Outcome
from tokenforge.telemetry.benchmark_metrics import BenchmarkMetrics

_LIMIT = 0.03
_CLIENTS = 16
_TOKENS = 8
_START = TrialStart(
    runtime="null", workload="w", trial=0, trials=1, position=0, positions=1, requests=1, expected_s=None
)


async def main(quads: int, requests: int) -> int:
    """Measure both, print, judge."""
    codes = []
    for name, measure in (("gateway", _gateway), ("load generator", _generator)):
        ratios = []
        for quad in range(quads):
            order = (True, False, False, True) if quad % 2 == 0 else (False, True, True, False)
            rates = [(is_on, await measure("on" if is_on else "off", requests)) for is_on in order]
            on, off = (statistics.mean(rate for side, rate in rates if side is wanted) for wanted in (True, False))
            ratios.append(math.log(on / off))
            print(f"{name} quad {quad}: on {on:,.0f} requests/s, off {off:,.0f}, on/off {on / off:.3f}", flush=True)
        codes.append(_judge(name, ratios))
    traced = [await _gateway("traced", requests), await _gateway("on", requests), await _gateway("traced", requests)]
    print(f"gateway with every request traced: {(traced[0] + traced[2]) / 2 / traced[1]:.3f} of the rate without")
    return 1 if 1 in codes else max(codes)


def _judge(name: str, ratios: list[float]) -> int:
    """Print the mean ratio with its interval; 0 where metrics cost less than the limit, 1 more, 2 not told."""
    mean = statistics.mean(ratios)
    error = statistics.stdev(ratios) / math.sqrt(len(ratios))
    half = float(student.ppf(0.975, len(ratios) - 1)) * error
    low, high = math.exp(mean - half), math.exp(mean + half)
    print(f"{name}: on/off {math.exp(mean):.4f}, 95 % interval {low:.4f} to {high:.4f}, {len(ratios)} quads")
    if low >= 1 - _LIMIT:
        return 0
    return 1 if high < 1 - _LIMIT else 2


async def _gateway(mode: str, requests: int) -> float:
    """Requests/s of a closed loop through a gateway."""
    async with _null_server() as null, _child("-m", "telemetry.gateway_child", null, mode) as url:
        return await _rate(url, requests, model=MODEL, on_progress=None)


async def _generator(mode: str, requests: int) -> float:
    """Requests/s of a closed loop, with the load generator's own metrics on or off."""
    watch = MeteredObserver(Silence(), BenchmarkMetrics(CollectorRegistry()))
    watch.trial_started(_START)
    async with _null_server() as null:
        return await _rate(null, requests, model="null", on_progress=watch.progress if mode == "on" else None)


async def _rate(url: str, requests: int, *, model: str, on_progress: Callable[[Progress], None] | None) -> float:
    plan = closed_plan(requests, clients=_CLIENTS, tokens=_TOKENS)
    with tempfile.TemporaryDirectory() as folder:
        job = replace(drive_job(url, plan, Path(folder), request_timeout_s=30.0), model=model, headers={})
        recorded = (await offer(job, on_progress=on_progress)).recorded
    if recorded.count(Outcome.OK) < requests:
        raise SystemExit(f"{requests - recorded.count(Outcome.OK)} of {requests} requests failed: no measurement")
    return requests / (recorded.last_end_ns / 1e9)


@contextlib.asynccontextmanager
async def _null_server() -> AsyncIterator[str]:
    with tempfile.NamedTemporaryFile() as log:
        async with _child(*NULL_SERVER[1:], "0", "0", log.name) as said:
            yield f"http://127.0.0.1:{said.removeprefix('port ')}"


@contextlib.asynccontextmanager
async def _child(*arguments: str) -> AsyncIterator[str]:
    """A child process until the block ends; gives the first line that it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="telemetry", description=__doc__)
    parser.add_argument("--quads", type=int, default=4)
    parser.add_argument("--requests", type=int, default=6000)
    asked = parser.parse_args()
    if asked.quads < 2:
        parser.error(f"--quads {asked.quads}: an interval needs 2 at least")
    sys.exit(asyncio.run(main(asked.quads, asked.requests)))
