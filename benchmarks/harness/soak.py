"""A long run of TokenForge's driver: memory over time, every record there, and what is left after a kill."""

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from harness.finding import Finding
from harness.plans import plan, send
from harness.truth import truth_server
from tokenforge.bench.driver.job import DriverFailed
from tokenforge.domain.plan import TrialPlan
from tokenforge.domain.record import Outcome, RequestRecord

_TOKENS = 64
_TTFT_MS, _ITL_MS = 50, 10
_ANSWER_S = (_TTFT_MS + _TOKENS * _ITL_MS) / 1000
_SAMPLE_S = 2.0
_SETTLE_S = 10.0
_FLUSH_S = 1.0
_GROWTH_BYTES_PER_MIN = 1_000_000
_SAY_S = 60.0


@dataclass(slots=True)
class Watch:
    """Memory of the driver's process by time, and when it was killed (seconds of load, None: it was not).

    Bytes of its own: not counted are pages of files, such as the plan, of which it reads more and more.
    """

    samples: list[tuple[float, int]] = field(default_factory=list)
    killed_s: float | None = None

    def growth_bytes_per_min(self) -> float:
        """Once it has settled (10 s, or a quarter of the load): from the first to the last third, by their medians."""
        settle_s = max(_SETTLE_S, self.samples[-1][0] / 4) if self.samples else 0.0
        late = [sample for sample in self.samples if sample[0] > settle_s]
        third = len(late) // 3
        if not third:
            return 0.0
        early_s, early = sorted(late[:third])[third // 2][0], sorted(rss for _, rss in late[:third])[third // 2]
        last_s, last = sorted(late[-third:])[third // 2][0], sorted(rss for _, rss in late[-third:])[third // 2]
        return (last - early) / max(1e-9, last_s - early_s) * 60


def soak_check(folder: Path, *, minutes: float, rate: float, is_killed: bool) -> Finding:
    """`rate` requests/s for so long. With `is_killed` the driver is killed at half time."""
    requests = round(minutes * 60 * rate)
    trial = plan(requests=requests, tokens=_TOKENS, seed=1, rate=rate)
    watch = Watch()
    with truth_server(folder, "--ttft-us", str(_TTFT_MS * 1000), "--itl-us", str(_ITL_MS * 1000)) as server:
        kill_s = minutes * 30 if is_killed else None
        records = asyncio.run(_soak(trial, url=server.url, folder=folder, watch=watch, kill_s=kill_s))
        arrived = len(server.stop())
    if is_killed:
        return _after_kill(records, trial, watch=watch)
    whole = sum(record.outcome is Outcome.OK and record.counted_tokens == _TOKENS for record in records)
    growth = watch.growth_bytes_per_min()
    most = max((rss for _, rss in watch.samples), default=0)
    text = (
        f"{whole:,} of {requests:,} requests whole, {arrived:,} at the server; "
        f"driver's memory at most {most / 1e6:.0f} MB, growing by {growth / 1e6:.2f} MB a minute"
    )
    figures = {"memory": watch.samples, "whole": whole, "asked": requests, "arrived": arrived}
    return Finding(holds=whole == requests == arrived and growth < _GROWTH_BYTES_PER_MIN, text=text, figures=figures)


async def _soak(
    trial: TrialPlan, *, url: str, folder: Path, watch: Watch, kill_s: float | None
) -> tuple[RequestRecord, ...]:
    load = asyncio.create_task(send(trial, url=url, folder=folder))
    watching = asyncio.create_task(_watch(watch, kill_s=kill_s))
    try:
        return (await load).records
    except DriverFailed as error:
        if watch.killed_s is None:
            raise
        return error.records
    finally:
        watching.cancel()


async def _watch(watch: Watch, *, kill_s: float | None) -> None:
    """Sample the driver child; kill it when its time has come."""
    driver = await _driver()
    started_s, said_s = time.monotonic(), 0.0
    while driver.is_running():
        at_s = time.monotonic() - started_s
        memory = driver.memory_info()
        watch.samples.append((at_s, memory.rss - memory.shared))
        if at_s - said_s >= _SAY_S:
            said_s = at_s
            print(f"      {at_s / 60:.0f} min, {watch.samples[-1][1] / 1e6:.0f} MB", flush=True)
        if kill_s is not None and at_s >= kill_s:
            watch.killed_s = at_s
            os.kill(driver.pid, signal.SIGKILL)
            return
        await asyncio.sleep(_SAMPLE_S)


async def _driver() -> psutil.Process:
    while True:
        for child in psutil.Process().children():
            if "tokenforge.bench.driver" in child.cmdline():
                return child
        await asyncio.sleep(0.05)


def _after_kill(records: tuple[RequestRecord, ...], trial: TrialPlan, *, watch: Watch) -> Finding:
    """Every request whose answer was over a second before the kill has its record, and each record is whole."""
    killed_s = watch.killed_s or 0.0
    over_ns = (killed_s - _ANSWER_S - _FLUSH_S) * 1e9
    due = {request.index for request in trial.requests if request.at_ns is not None and request.at_ns < over_ns}
    kept = {r.index for r in records if r.outcome is Outcome.OK and r.counted_tokens == _TOKENS}
    lost = len(due - kept)
    text = f"killed after {killed_s:.0f} s: {len(kept):,} records kept, {lost} of {len(due):,} lost"
    return Finding(holds=lost == 0, text=text, figures={"killed_s": killed_s, "kept": len(kept), "lost": lost})
