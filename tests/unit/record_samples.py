"""Sample records: a small simulated server (one queue, prefill then paced decode) makes requests as a driver would."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tokenforge.domain.benchmark_record import BenchmarkRecord, DriverReading, RunRecord, TrialRecord
from tokenforge.domain.canonical import to_plain
from tokenforge.domain.record import Outcome, RequestRecord
from tokenforge.domain.run import RunId, RunStatus
from tokenforge.store.requests_table import RequestsFile, RunRecords, record_columns, write_rows

MS = 1_000_000
S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A server: one prefill at a time, lognormal with `prefill_ms` and `cv`; then a token every `step_ms`."""

    runtime: str
    prefill_ms: float = 40.0
    step_ms: float = 8.0
    cv: float = 0.5
    drift: float = 0.01
    tokens_per_chunk: int = 1
    error_share: float = 0.0
    simulated: bool = False
    cached_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is offered. `qps` None makes a closed loop of `concurrency` clients."""

    name: str = "qa-short"
    qps: float | None = 5.0
    concurrency: int = 4
    requests: int = 120
    gen_tokens: int = 16
    prompt_tokens: int = 256
    warmup_s: float = 0.0
    slo: Mapping[str, float] | None = None
    extra: Mapping[str, object] = field(default_factory=dict)


def sample(
    engines: Sequence[Engine],
    loads: Sequence[Load] = (Load(),),
    *,
    trials: int = 5,
    seed: int = 0,
    price_per_hour: float | None = None,
) -> tuple[dict[str, object], RequestsFile]:
    """A whole record as JSON and its requests table."""
    runs: list[RunRecord] = []
    rows: list[RunRecords] = []
    for load in loads:
        for engine in engines:
            run_id = f"sample-{len(runs):02d}-{load.name}"
            chance = np.random.default_rng([seed, len(runs)])
            by_trial = [trial_records(engine, load, trial=t, plan_seed=seed, chance=chance) for t in range(trials)]
            runs.append(run_record(run_id, engine, load, by_trial))
            tables = [record_columns(one) for one in by_trial]
            rows.append(
                RunRecords(
                    run_id=run_id, model="synthetic:tiny", runtime=engine.runtime, workload=load.name, tables=tables
                )
            )
    return document(runs, loads, trials=trials, price_per_hour=price_per_hour), requests_file(rows)


def requests_file(runs: Sequence[RunRecords]) -> RequestsFile:
    """The rows as analysis reads them, from a Parquet file in memory."""
    file = io.BytesIO()
    write_rows(file, runs)
    return RequestsFile(file)


def trial_records(
    engine: Engine, load: Load, *, trial: int, plan_seed: int, chance: np.random.Generator
) -> tuple[RequestRecord, ...]:
    """One trial: arrivals from the plan's seed (equal for all engines), services from `chance`."""
    plan = np.random.default_rng([plan_seed, trial])
    speed = float(np.exp(chance.normal(0, engine.drift)))
    spread = np.sqrt(np.log1p(engine.cv**2))
    services = chance.lognormal(np.log(engine.prefill_ms * speed) - spread**2 / 2, spread, load.requests) * MS
    step_ns = engine.step_ms * speed * MS
    gaps = None if load.qps is None else plan.exponential(S / load.qps, load.requests)
    due: list[int] | None = None if gaps is None else np.cumsum(gaps).astype(int).tolist()
    free, clients, records = 0.0, [0.0] * load.concurrency, []
    for index in range(load.requests):
        sent = due[index] + chance.integers(50_000, 400_000) if due is not None else min(clients)
        first = max(float(sent), free) + services[index]
        free = first
        chunks = -(-load.gen_tokens // engine.tokens_per_chunk)
        steps = step_ns * engine.tokens_per_chunk * chance.normal(1, 0.08, chunks - 1).clip(0.5)
        stamps = first + np.concatenate(([0.0], np.cumsum(steps)))
        if due is None:
            clients[clients.index(min(clients))] = float(stamps[-1]) + 100_000
        records.append(
            _request(engine, load, trial=trial, index=index, due=due, sent=int(sent), stamps=stamps, chance=chance)
        )
    return tuple(records)


def run_record(run_id: str, engine: Engine, load: Load, by_trial: Sequence[Sequence[RequestRecord]]) -> RunRecord:
    """A succeeded run over the trials given."""
    return RunRecord(
        id=RunId(run_id),
        model="synthetic:tiny",
        runtime=engine.runtime,
        workload=load.name,
        target_url="http://127.0.0.1:40001",
        status=RunStatus.SUCCEEDED,
        cause=None,
        last_words=(),
        engine={
            "runtime": engine.runtime,
            "engine": engine.runtime,
            "engine_version": "1.2.3",
            "package": f"{engine.runtime}-cpu",
            "model": "synthetic:tiny",
            "max_model_len": 2048,
            "kv_tokens": 65536,
            "max_num_seqs": 64,
            "token_level": True,
            "simulated": engine.simulated,
            "details": {"dtype": "bfloat16", "device": "cpu", "attention": "sdpa"},
            "packages": {"torch": "2.13.0+cpu", "transformers": "5.19.0"},
        },
        start_s=7.4,
        trials=tuple(_trial(load, records, number=number) for number, records in enumerate(by_trial)),
    )


def document(
    runs: Sequence[RunRecord], loads: Sequence[Load], *, trials: int, price_per_hour: float | None = None
) -> dict[str, object]:
    """The record around runs, as JSON."""
    record = BenchmarkRecord(
        id="20260101T120000-0badcafe",
        created_at="2026-01-01T12:00:00Z",
        tool={"name": "tokenforge", "version": "0.1.0", "git": "c8183e4"},
        command="tokenforge bench benchmark.yaml",
        benchmark={
            "models": [{"source": "synthetic", "name": "tiny"}],
            "runtimes": [{"name": run.runtime, "version": None} for run in runs],
            "workloads": [_workload(load) for load in loads],
            "seed": 0,
            "trials": trials,
            "order": "interleaved",
            "price_per_hour": price_per_hour,
        },
        spec_hash="ab" * 32,
        environment={
            "machine": {
                "system": "Linux 6.1",
                "cpu_model": "Example CPU at 2.5 GHz",
                "cpu_cores": 4,
                "cpu_threads": 8,
                "memory_bytes": 16 * 2**30,
            },
            "limits": {"cpu": "max 100000", "memory": "max"},
            "gpus": [],
            "packages": {"numpy": "2.0.0", "pyarrow": "18.0.0"},
            "models": [{"model": "synthetic:tiny", "window": 2048, "hashes": {"config.json": "ef" * 32}}],
            "pressure": {
                "before": {"load_1m": 0.2, "steal_share": 0.001},
                "after": {"load_1m": 1.1, "steal_share": 0.001},
            },
        },
        runs=tuple(runs),
        requests_sha256="cd" * 32,
    )
    plain = to_plain(record)
    assert isinstance(plain, dict)
    return plain


def one_request(**changes: object) -> RequestRecord:
    """A plain request: sent on time, first token after 100 ms, then three more 10 ms apart."""
    base = RequestRecord(
        trial=0,
        index=0,
        scheduled_ns=0,
        sent_ns=0,
        headers_ns=50 * MS,
        first_ns=100 * MS,
        end_ns=130 * MS,
        chunk_ns=(100 * MS, 110 * MS, 120 * MS, 130 * MS),
        chunk_tokens=(1, 1, 1, 1),
        asked_prompt_tokens=8,
        asked_output_tokens=4,
        prompt_tokens=8,
        cached_tokens=0,
        output_tokens=4,
        counted_tokens=4,
        finish_reason="length",
        http_status=200,
        outcome=Outcome.OK,
        error=None,
        connection=0,
        merged_reads=0,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def one_run(records: Sequence[RequestRecord], load: Load | None = None) -> tuple[dict[str, object], RequestsFile]:
    """A record of one run with exactly these requests."""
    engine, asked = Engine(runtime="vllm"), load or Load()
    numbers = sorted({record.trial for record in records})
    by_trial = [[record for record in records if record.trial == number] for number in numbers]
    run = run_record("sample-00", engine, asked, by_trial)
    tables = [record_columns(one) for one in by_trial]
    rows = RunRecords(run_id="sample-00", model="synthetic:tiny", runtime="vllm", workload=asked.name, tables=tables)
    return document([run], [asked], trials=max(1, len(numbers))), requests_file([rows])


def _request(
    engine: Engine,
    load: Load,
    *,
    trial: int,
    index: int,
    due: list[int] | None,
    sent: int,
    stamps: np.ndarray,
    chance: np.random.Generator,
) -> RequestRecord:
    failed = bool(chance.random() < engine.error_share)
    times = () if failed else tuple(int(stamp) for stamp in stamps)
    sizes = [engine.tokens_per_chunk] * len(times)
    if sizes:
        sizes[-1] = load.gen_tokens - engine.tokens_per_chunk * (len(times) - 1)
    return RequestRecord(
        trial=trial,
        index=index,
        scheduled_ns=None if due is None else due[index],
        sent_ns=sent,
        headers_ns=sent + MS,
        first_ns=times[0] if times else None,
        end_ns=(times[-1] if times else sent) + 2 * MS,
        chunk_ns=times,
        chunk_tokens=tuple(sizes),
        asked_prompt_tokens=load.prompt_tokens,
        asked_output_tokens=load.gen_tokens,
        prompt_tokens=None if failed else load.prompt_tokens,
        cached_tokens=None if failed else int(load.prompt_tokens * engine.cached_share),
        output_tokens=None if failed else load.gen_tokens,
        counted_tokens=sum(sizes),
        finish_reason=None if failed else "length",
        http_status=500 if failed else 200,
        outcome=Outcome.HTTP_ERROR if failed else Outcome.OK,
        error="500: the engine failed this request" if failed else None,
        connection=index % 4,
        merged_reads=0,
    )


def _trial(load: Load, records: Sequence[RequestRecord], *, number: int) -> TrialRecord:
    last = max((record.end_ns or 0 for record in records), default=0)
    return TrialRecord(
        trial=number,
        position=number,
        seed=number,
        plan_digest=f"{number:02d}" * 32,
        planned_requests=len(records),
        started_at=f"2026-01-01T12:{number:02d}:00.000Z",
        duration_s=last / S,
        notes=(),
        driver=DriverReading(
            processes=1,
            asked_rate=load.qps,
            sent=len(records),
            lag_p50_ms=0.1,
            lag_p99_ms=0.4,
            lag_max_ms=0.5,
            cpu_share=0.2,
            gc_pause_max_ms=0.3,
            merged_read_share=0.0,
            kernel_stamps=True,
        ),
    )


def _workload(load: Load) -> Mapping[str, object]:
    return {
        "name": load.name,
        "arrival": "poisson" if load.qps is not None else "concurrency",
        "qps": load.qps,
        "concurrency": None if load.qps is not None else load.concurrency,
        "burstiness": 1.0,
        "duration_s": None,
        "requests": load.requests,
        "prompt_len": {"value": load.prompt_tokens},
        "gen_tokens": {"value": load.gen_tokens},
        "shared_prefix_tokens": 0,
        "trace": None,
        "dataset": None,
        "warmup_s": load.warmup_s,
        "slo": load.slo,
        **load.extra,
    }
