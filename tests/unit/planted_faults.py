"""One planted fault per code of the verdict: a clean run of five trials, spoiled in one way.

Faults are planted where they would arise: in the requests as a client records them, or in what driver, server and
machine said of themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from limit_samples import measured_run
from record_samples import MS, Engine, Load, one_run, requests_file, sample, trial_records

from tokenforge.analysis.figures import RunSummary
from tokenforge.analysis.summary import summarise
from tokenforge.domain.record import Outcome, RequestRecord

Change = Callable[[RequestRecord], RequestRecord]
ENGINE, LOAD = Engine(runtime="vllm"), Load(requests=200)
TRIALS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is planted, and the other codes that the same fault rightly raises."""

    run: Callable[[], RunSummary]
    also: frozenset[str] = field(default_factory=frozenset)


def clean(seed: int = 3, *, engine: Engine = ENGINE, load: Load = LOAD) -> RunSummary:
    """The run that faults are planted into."""
    return planted(lambda record: record, engine=engine, load=load, seed=seed)


def planted(change: Change, *, load: Load = LOAD, engine: Engine = ENGINE, seed: int = 3) -> RunSummary:
    """Five trials with `change` applied to every request."""
    return summarise(*one_run([change(record) for record in records_of(engine, load, seed=seed)], load)).runs[0]


def records_of(engine: Engine, load: Load, *, seed: int = 3) -> list[RequestRecord]:
    """Five trials of clean records."""
    chance = np.random.default_rng(seed)
    trials = (trial_records(engine, load, trial=trial, plan_seed=seed, chance=chance) for trial in range(TRIALS))
    return [record for records in trials for record in records]


def said(words: Mapping[tuple[str | int, ...], object]) -> RunSummary:
    """A clean record with values of its document changed, by path."""
    document, table = sample([ENGINE])
    for path, value in words.items():
        spot: Any = document
        for key in path[:-1]:
            spot = spot.setdefault(key, {}) if isinstance(spot, dict) else spot[key]
        spot[path[-1]] = value
    return summarise(document, table).runs[0]


def said_by_all(part: str, words: Mapping[str, object]) -> RunSummary:
    """A clean record in which every trial's `driver` or `server` says these words too."""
    document, table = sample([ENGINE])
    trials: Any = document["runs"][0]["trials"]  # type: ignore[index]
    for trial in trials:
        trial[part] = {**(trial.get(part) or {}), **words}
    return summarise(document, table).runs[0]


def slower_in_trials(factor: float, *, first: int, last: int = TRIALS) -> RunSummary:
    """An engine that makes its tokens `factor` times slower from a trial on, or to another."""

    def change(record: RequestRecord) -> RequestRecord:
        if not first <= record.trial <= last or record.first_ns is None or record.end_ns is None:
            return record
        start = record.first_ns
        later = tuple(int(start + (at - start) * factor) for at in record.chunk_ns)
        return replace(record, chunk_ns=later, end_ns=later[-1] + record.end_ns - record.chunk_ns[-1])

    return planted(change)


def from_a_cache(record: RequestRecord, *, every: int = 20) -> RequestRecord:
    """Every n-th answer comes whole, a millisecond after it was asked."""
    if record.index % every or record.sent_ns is None:
        return record
    stamps = tuple(record.sent_ns + MS + number for number in range(len(record.chunk_ns)))
    return replace(record, first_ns=stamps[0], chunk_ns=stamps, end_ns=stamps[-1] + MS // 10)


def cut_by_length(record: RequestRecord) -> RequestRecord:
    if record.index % 25:
        return record
    half = len(record.chunk_ns) // 2
    return replace(
        record,
        output_tokens=half,
        counted_tokens=half,
        finish_reason="length",
        chunk_ns=record.chunk_ns[:half],
        chunk_tokens=record.chunk_tokens[:half],
    )


def stopped_early(record: RequestRecord) -> RequestRecord:
    return replace(cut_by_length(record), finish_reason="stop")


def usage_off_by(tokens: int) -> Change:
    """The server's usage is off while the stream is right."""
    return lambda record: replace(record, output_tokens=(record.output_tokens or 0) + tokens)


def delayed(record: RequestRecord, by_ns: int) -> RequestRecord:
    """Sent later, and so answered later."""
    return replace(
        record,
        sent_ns=(record.sent_ns or 0) + by_ns,
        headers_ns=(record.headers_ns or 0) + by_ns,
        first_ns=(record.first_ns or 0) + by_ns,
        end_ns=(record.end_ns or 0) + by_ns,
        chunk_ns=tuple(at + by_ns for at in record.chunk_ns),
    )


def late(record: RequestRecord) -> RequestRecord:
    return delayed(record, 12 * MS if record.index % 10 == 0 else 0)


def sent_too_slowly(record: RequestRecord) -> RequestRecord:
    return delayed(record, int((record.scheduled_ns or 0) * 0.03))


def sent_in_bursts() -> RunSummary:
    """Sends wait for the next multiple of 4 ms, which is most of the gap between them."""
    engine, load = Engine(runtime="vllm", prefill_ms=2.0, step_ms=1.0), Load(qps=200.0, requests=400)
    return planted(lambda one: delayed(one, -(one.sent_ns or 0) % (4 * MS)), engine=engine, load=load)


def outcome_of_every(step: int, outcome: Outcome) -> Change:
    """Some requests end otherwise; nothing came of those that failed, but for a stream that broke off."""

    def change(record: RequestRecord) -> RequestRecord:
        if record.index % step:
            return record
        ended = replace(record, outcome=outcome)
        return ended if outcome is Outcome.TRUNCATED else replace(ended, first_ns=None, chunk_ns=(), chunk_tokens=())

    return change


def answered_before_sent(record: RequestRecord) -> RequestRecord:
    is_hit = record.trial == 0 and record.index == 150
    return replace(record, sent_ns=(record.first_ns or 0) + MS) if is_hit else record


def over_capacity() -> RunSummary:
    return clean(load=Load(qps=40.0, requests=400))


def ever_sooner(record: RequestRecord) -> RequestRecord:
    """First tokens that are late at the start of each trial, and less so with each request."""
    late = int(max(0, LOAD.requests - record.index) * 0.5 * MS)
    return replace(
        record,
        first_ns=(record.first_ns or 0) + late,
        end_ns=(record.end_ns or 0) + late,
        chunk_ns=tuple(at + late for at in record.chunk_ns),
    )


def unnamed_warmup() -> RunSummary:
    """Three minutes of load and no word on a warm-up."""
    return clean(load=Load(requests=900, extra={"warmup_s": None}))


def slow_answers() -> RunSummary:
    return clean(engine=Engine(runtime="vllm", step_ms=900.0))


def of_size(*, trials: int = TRIALS, requests: int = 120) -> RunSummary:
    return summarise(*sample([ENGINE], [Load(requests=requests)], trials=trials)).runs[0]


def nothing_recorded() -> RunSummary:
    document, _ = sample([ENGINE])
    return summarise(document, requests_file([])).runs[0]


def _fault(run: Callable[[], RunSummary], *also: str) -> Fault:
    return Fault(run=run, also=frozenset(also))


def _calibrated(words: Mapping[str, object]) -> Callable[[], RunSummary]:
    return lambda: said({("calibration",): [{"workload": "qa-short", **words}]})


RUN: Sequence[str | int] = ("runs", 0)
DRIVER: tuple[str | int, ...] = (*RUN, "trials", 0, "driver")
_PRESSURE = ("environment", "pressure")
GPU = {"sampled_s": 10.0, "counter_j": 1200.0, "integral_j": 1000.0, "memory_peak_bytes": 1, "utilisation": 0.5}
"""A card whose counter tells 20 % more than its power."""

FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "generator_late": _fault(lambda: planted(late)),
        "rate_off": _fault(lambda: planted(sent_too_slowly), "generator_late", "not_steady"),
        "arrivals_off": _fault(sent_in_bursts),
        "generator_stalled": _fault(
            lambda: said_by_all("driver", {"loop_delay_max_ms": 41.0, "loop_stalled_s": 0.3}),
        ),
        "generator_busy": _fault(lambda: said({(*DRIVER, "cpu_share"): 0.97})),
        "gc_pause": _fault(lambda: said({(*DRIVER, "gc_pause_max_ms"): 9.0})),
        "instrument_error": _fault(_calibrated({"ttft_error": {"p99_ms": 20.0}})),
        "not_calibrated": _fault(_calibrated({"cause": "the null server was held up"})),
        "merged_reads": _fault(lambda: said({(*DRIVER, "merged_read_share"): 0.2})),
        "machine_busy": _fault(lambda: said({(*_PRESSURE, "before", "load_1m"): 7.0})),
        "idle_engine_busy": _fault(lambda: said({(*RUN, "trials", 2, "idle_cpu_share"): 0.3})),
        "cpu_stolen": _fault(lambda: said({(*_PRESSURE, "after", "steal_share"): 0.2})),
        "cpu_throttled": _fault(lambda: said({(*_PRESSURE, "after", "throttled_share"): 0.05})),
        "energy_apart": _fault(lambda: said({(*RUN, "trials", 2, "gpus"): [GPU]})),
        "clock_step": _fault(lambda: planted(answered_before_sent)),
        "clock_stepped": _fault(lambda: said({(*DRIVER, "clock_steps"): 2})),
        "simulated": _fault(lambda: said({(*RUN, "engine", "simulated"): True})),
        "errors": _fault(lambda: planted(outcome_of_every(50, Outcome.HTTP_ERROR))),
        "warm_prefix_cache": _fault(lambda: planted(lambda record: replace(record, cached_tokens=16))),
        "cached_responses": _fault(lambda: planted(from_a_cache)),
        "server_restarted": _fault(lambda: said({(*RUN, "trials", 1, "server"): {"restarted": True}})),
        "truncated_output": _fault(lambda: planted(cut_by_length)),
        "output_length": _fault(lambda: planted(stopped_early)),
        "token_count": _fault(lambda: planted(lambda record: replace(record, counted_tokens=12))),
        "multi_token_chunks": _fault(lambda: clean(engine=replace(ENGINE, tokens_per_chunk=4))),
        "server_died": _fault(lambda: said({(*RUN, "status"): "failed", (*RUN, "cause_code"): "worker_failed"})),
        "run_failed": _fault(lambda: said({(*RUN, "status"): "failed", (*RUN, "cause"): "no space left"})),
        "run_incomplete": _fault(lambda: said({(*RUN, "status"): "interrupted"})),
        "no_requests": _fault(nothing_recorded),
        "too_few_trials": _fault(lambda: of_size(trials=2)),
        "too_few_requests": _fault(lambda: of_size(requests=18)),
        "too_short": _fault(slow_answers, "not_steady"),
        "over_saturated": _fault(over_capacity),
        "not_steady": _fault(lambda: planted(ever_sooner)),
        "default_warmup": _fault(unnamed_warmup),
        "not_drained": _fault(
            lambda: planted(lambda r: replace(r, outcome=Outcome.CANCELLED) if r.index == 199 else r)
        ),
        "drift": _fault(lambda: slower_in_trials(1.5, first=3)),
        "physically_impossible": _fault(lambda: measured_run(engine=Engine(runtime="vllm", step_ms=1.0), trials=5)),
    }
)
"""A fault for every code of `CODES`."""
