"""The record as typed facts: what analysis needs of `record.json`, read once.

A record may come from a file that was edited or cut, so a missing or odd value becomes None (or empty), never a guess.
Refuses nothing but a document that has no list of runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tokenforge.analysis.gpu_figures import GpuFacts, read_gpus
from tokenforge.analysis.plain import Plain as Plain
from tokenforge.analysis.plain import flag as flag
from tokenforge.analysis.plain import mapping as mapping
from tokenforge.analysis.plain import mappings as mappings
from tokenforge.analysis.plain import number as number
from tokenforge.analysis.plain import text as text
from tokenforge.analysis.plain import whole as whole
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.workload import Arrival

_LEVEL = (Arrival.CONSTANT, Arrival.POISSON, Arrival.GAMMA, Arrival.CONCURRENCY)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFacts:
    """What was asked of one workload. `has_shared_prompts` is True where prompts share text on purpose.

    `arrival_shape` is that of the gamma law which the gaps between arrivals follow (1: exponential), None where
    arrivals have a plan but no law. `is_level`: the load is meant to be the same from start to end. `warmup_s` is None
    where the workload names none.
    """

    name: str
    is_open: bool
    qps: float | None
    concurrency: int | None
    duration_s: float | None
    warmup_s: float | None
    has_shared_prompts: bool
    arrival_shape: float | None = None
    is_level: bool = True
    slo_ttft_ms: float | None = None
    slo_tpot_ms: float | None = None
    slo_e2e_ms: float | None = None
    slo_attainment: float | None = None

    @property
    def has_slo(self) -> bool:
        """Whether any limit is set."""
        return any(limit is not None for limit in (self.slo_ttft_ms, self.slo_tpot_ms, self.slo_e2e_ms))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFacts:
    """One trial as recorded; what the driver and the server said of themselves beside it."""

    trial: int
    plan_digest: str
    planned_requests: int
    duration_s: float
    asked_rate: float | None
    cpu_share: float | None
    merged_read_share: float | None
    stopped_early: str | None
    processes: int | None = None
    lag_p50_ms: float | None = None
    lag_p99_ms: float | None = None
    lag_max_ms: float | None = None
    gc_pause_max_ms: float | None = None
    kernel_stamps: bool | None = None
    clock_steps: int | None = None
    retried: int | None = None
    scheduling: str | None = None
    position: int | None = None
    engine_start: int | None = None
    idle_cpu_share: float | None = None
    loop_delay_max_ms: float | None = None
    loop_stalled_s: float | None = None
    server_restarted: bool | None = None
    prefix_queries: int | None = None
    prefix_hits: int | None = None
    gpus: tuple[GpuFacts, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationFacts:
    """The client's own error at this load, in ms; sizes at p99. `cause`: why it is not known."""

    cause: str | None
    ttft_p50_ms: float | None
    ttft_p99_ms: float | None
    ttft_max_ms: float | None
    itl_p50_ms: float | None
    itl_p99_ms: float | None
    itl_max_ms: float | None
    requests: int | None
    requests_per_s: float | None
    chunks_per_s: float | None
    lag_p99_ms: float | None
    merged_read_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """One run as recorded. `is_ours`: its worker was started for it, so that nothing stands between.

    `token_level`: its stream tells tokens; one that is not known may merge or hold back text, so chunks are not tokens.
    """

    id: str
    model: str
    runtime: str
    status: str
    cause: str | None
    simulated: bool
    token_level: bool
    workload: WorkloadFacts
    trials: tuple[TrialFacts, ...]
    calibration: CalibrationFacts | None = None
    cause_code: str | None = None
    is_ours: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonFacts:
    """What a comparison was to decide, and by what: `urls` of its sides are servers that were not started here."""

    quads: int
    delta: float
    metric: str
    restart: str
    urls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The whole document. `cpu_threads`, `load_before` and the shares (`throttled`: by a limit) are the machine's."""

    runs: tuple[RunFacts, ...]
    trials_asked: int
    price_per_hour: float | None
    cpu_threads: int | None
    load_before: float | None
    steal_share: float | None
    comparison: ComparisonFacts | None = None
    throttled_share: float | None = None


def read_facts(document: Plain) -> Facts:
    """Read a record. Raises InvalidInput when it has no runs."""
    if not isinstance(document.get("runs"), list):
        fault = Fault(
            field="runs", value=document.get("runs"), message="is not a list", hint="give a whole record.json"
        )
        raise InvalidInput([fault], source="record")
    benchmark = mapping(document, "benchmark")
    workloads = {text(item, "name") or "": _workload(item) for item in mappings(benchmark, "workloads")}
    calibration = {text(item, "workload") or "": _calibration(item) for item in mappings(document, "calibration")}
    environment = mapping(document, "environment")
    pressure = mapping(environment, "pressure")
    return Facts(
        runs=tuple(_run(item, workloads, calibration) for item in mappings(document, "runs")),
        trials_asked=whole(benchmark, "trials") or 1,
        price_per_hour=number(benchmark, "price_per_hour"),
        cpu_threads=whole(mapping(environment, "machine"), "cpu_threads"),
        load_before=number(mapping(pressure, "before"), "load_1m"),
        steal_share=number(mapping(pressure, "after"), "steal_share"),
        comparison=_comparison(mapping(benchmark, "comparison")),
        throttled_share=number(mapping(pressure, "after"), "throttled_share"),
    )


def _comparison(item: Plain) -> ComparisonFacts | None:
    if not item:
        return None
    return ComparisonFacts(
        quads=whole(item, "quads") or 0,
        delta=number(item, "delta") or 0.05,
        metric=text(item, "metric") or "",
        restart=text(item, "restart") or "",
        urls=sum(text(side, "url") is not None for side in mappings(item, "sides")),
    )


def _run(item: Plain, workloads: Mapping[str, WorkloadFacts], calibration: Mapping[str, CalibrationFacts]) -> RunFacts:
    engine = mapping(item, "engine")
    name = text(item, "workload") or ""
    return RunFacts(
        id=text(item, "id") or "",
        model=text(item, "model") or "",
        runtime=text(item, "runtime") or "",
        status=text(item, "status") or "failed",
        cause=text(item, "cause"),
        simulated=engine.get("simulated") is True,
        token_level=bool(engine) and engine.get("token_level") is not False,
        workload=workloads.get(name) or _workload({"name": name}),
        trials=tuple(_trial(trial) for trial in mappings(item, "trials")),
        calibration=calibration.get(name),
        cause_code=text(item, "cause_code"),
        is_ours=number(item, "start_s") is not None,
    )


def _trial(item: Plain) -> TrialFacts:
    driver, server = mapping(item, "driver"), mapping(item, "server")
    return TrialFacts(
        trial=whole(item, "trial") or 0,
        plan_digest=text(item, "plan_digest") or "",
        planned_requests=whole(item, "planned_requests") or 0,
        duration_s=number(item, "duration_s") or 0.0,
        asked_rate=number(driver, "asked_rate"),
        cpu_share=number(driver, "cpu_share"),
        merged_read_share=number(driver, "merged_read_share"),
        stopped_early=text(driver, "stopped_early"),
        processes=whole(driver, "processes"),
        lag_p50_ms=number(driver, "lag_p50_ms"),
        lag_p99_ms=number(driver, "lag_p99_ms"),
        lag_max_ms=number(driver, "lag_max_ms"),
        gc_pause_max_ms=number(driver, "gc_pause_max_ms"),
        kernel_stamps=flag(driver, "kernel_stamps"),
        clock_steps=whole(driver, "clock_steps"),
        retried=whole(driver, "retried"),
        scheduling=text(driver, "scheduling"),
        position=whole(item, "position"),
        engine_start=whole(item, "engine_start"),
        idle_cpu_share=number(item, "idle_cpu_share"),
        loop_delay_max_ms=number(driver, "loop_delay_max_ms"),
        loop_stalled_s=number(driver, "loop_stalled_s"),
        server_restarted=flag(server, "restarted"),
        prefix_queries=whole(server, "prefix_queries"),
        prefix_hits=whole(server, "prefix_hits"),
        gpus=read_gpus(item),
    )


def _calibration(item: Plain) -> CalibrationFacts:
    load, ttft, itl = mapping(item, "load"), mapping(item, "ttft_error"), mapping(item, "itl_error")
    return CalibrationFacts(
        cause=text(item, "cause"),
        ttft_p50_ms=number(ttft, "p50_ms"),
        ttft_p99_ms=number(ttft, "p99_ms"),
        ttft_max_ms=number(ttft, "max_ms"),
        itl_p50_ms=number(itl, "p50_ms"),
        itl_p99_ms=number(itl, "p99_ms"),
        itl_max_ms=number(itl, "max_ms"),
        requests=whole(item, "requests"),
        requests_per_s=number(load, "requests_per_s"),
        chunks_per_s=number(load, "chunks_per_s"),
        lag_p99_ms=number(item, "lag_p99_ms"),
        merged_read_share=number(item, "merged_read_share"),
    )


def _workload(item: Plain) -> WorkloadFacts:
    slo = mapping(item, "slo")
    shared = (whole(item, "shared_prefix_tokens") or 0) > 0
    return WorkloadFacts(
        name=text(item, "name") or "",
        is_open=item.get("arrival") != Arrival.CONCURRENCY,
        qps=number(item, "qps"),
        concurrency=whole(item, "concurrency"),
        duration_s=number(item, "duration_s"),
        warmup_s=number(item, "warmup_s"),
        has_shared_prompts=shared or any(item.get(key) is not None for key in ("turns", "dataset", "trace")),
        arrival_shape=_arrival_shape(item),
        is_level=text(item, "arrival") in _LEVEL,
        slo_ttft_ms=number(slo, "ttft_ms"),
        slo_tpot_ms=number(slo, "tpot_ms"),
        slo_e2e_ms=number(slo, "e2e_ms"),
        slo_attainment=number(slo, "attainment"),
    )


def _arrival_shape(item: Plain) -> float | None:
    """Later turns of a conversation follow their answers, so such arrivals have no law of their own."""
    if item.get("turns") is not None:
        return None
    arrival = text(item, "arrival")
    if arrival == Arrival.GAMMA:
        return number(item, "burstiness")
    return 1.0 if arrival == Arrival.POISSON else None
