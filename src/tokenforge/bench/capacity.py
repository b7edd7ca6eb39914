"""Find a target's capacity with the real load: each probe is a workload of one rate, kept as a run of its own.

The engine is started once and stays warm; every probe has fresh prompts and a warm-up that is not counted.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from tokenforge.analysis.capacity_search import Ask, Probe, SearchRules, next_probe
from tokenforge.analysis.dependence import effective_events, effective_size
from tokenforge.analysis.document import read_facts
from tokenforge.analysis.throughput import good_requests
from tokenforge.analysis.trials import measure_trials
from tokenforge.bench.execute import Offering, run_trials
from tokenforge.bench.observe import Observer
from tokenforge.bench.run_log import RunLog
from tokenforge.bench.targets import Target
from tokenforge.bench.trial_records import TrialRecords
from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.workload import Workload


@dataclass(slots=True, kw_only=True)
class TargetSearch:
    """One target's search: its probes so far and their logs; `output_tokens` are the mean of each probe's answers."""

    runtime: str
    rules: SearchRules
    probes: list[Probe] = field(default_factory=list)
    logs: list[RunLog] = field(default_factory=list)
    output_tokens: list[float] = field(default_factory=list)


async def search_capacity(
    target: Target, benchmark: Benchmark, search: TargetSearch, *, offering: Offering, observer: Observer
) -> BaseException | None:
    """Probe until the search is over, filling `search`. Returns what ended it early, None when it was done."""
    (load,) = benchmark.workloads
    while (ask := next_probe(search.rules, search.probes)) is not None:
        number = len(search.probes)
        observer.phase(search.runtime, f"probe {number + 1} of at most {search.rules.max_trials}: {ask.rate:.4g} req/s")
        workload = _probe_workload(load, ask, name=f"{search.runtime.partition('@')[0][:40]}-probe-{number + 1:03d}")
        log = RunLog(target=target, workload=workload)
        search.logs.append(log)
        part = replace(offering, folder=offering.folder / f"probe-{number:03d}")
        ended = await run_trials(
            [log], replace(benchmark, workloads=(workload,), trials=1), offering=part, observer=observer
        )
        if ended is not None:
            return ended
        probe, tokens = await asyncio.to_thread(_read_probe, log, ask.rate)
        search.probes.append(probe)
        search.output_tokens.append(tokens)
        share = probe.good / max(1, probe.attempted)
        observer.phase(search.runtime, f"{ask.rate:.4g} req/s: {share:.1%} of {probe.attempted} good")
    return None


def _probe_workload(load: Workload, ask: Ask, *, name: str) -> Workload:
    return replace(load, name=name, qps=ask.rate, duration_s=ask.duration_s, warmup_s=ask.warmup_s, requests=None)


class _InMemory:
    """The records of one trial as `analysis.requests.Requests`."""

    def __init__(self, recorded: TrialRecords) -> None:
        self._recorded = recorded

    def trials(self, run_id: str) -> Sequence[int]:
        return [self._recorded.trial]

    def batches(self, run_id: str, trial: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for table in self._recorded.tables():
            yield from table.select(list(columns)).to_batches()


def _read_probe(log: RunLog, rate: float) -> tuple[Probe, float]:
    """The probe, and mean output tokens of its good answers (0: none)."""
    name = log.workload.name
    document = {"runs": [{"id": name, "workload": name}], "benchmark": {"workloads": [to_plain(log.workload)]}}
    run = read_facts(document).runs[0]
    (trial,) = measure_trials(run, _InMemory(log.recorded[0]))
    good = good_requests(trial.requests, trial.latencies, run.workload)[trial.attempted]
    waits = np.nan_to_num(trial.latencies.ttft[trial.attempted], nan=1e12)
    quantile = run.workload.slo_attainment or 0.99
    tokens = trial.requests.tokens_delivered[trial.counted]
    probe = Probe(
        rate=rate,
        good=int(good.sum()),
        attempted=len(good),
        effective=min(effective_events(~good), effective_size(waits, quantile=quantile)),
    )
    return probe, float(tokens.mean()) if len(tokens) else 0.0
