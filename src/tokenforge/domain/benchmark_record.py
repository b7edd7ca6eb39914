"""The record of a benchmark: what was asked, what ran, on what, in which order. `record.json` is this, as JSON.

Together with `requests.parquet` it is all a report needs: the page can be rebuilt from the two, byte for byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenforge.domain.calibration import Calibration
from tokenforge.domain.parity import ParityResult
from tokenforge.domain.run import RunId, RunStatus

RECORD_SCHEMA = "tokenforge.record/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverReading:
    """What the load generator says of itself for one trial. Rates in requests/s, CPU as a share of one core.

    `clock_steps` counts jumps of the wall clock, `retried` requests sent again after a stale connection; `scheduling`
    is how the kernel scheduled the driver (`normal`, or the real-time class it was given). `loop_delay_max_ms` is the
    longest time in which the event loop looked at nothing, `loop_stalled_s` the sum of those over 25 ms.
    """

    processes: int
    asked_rate: float | None
    sent: int
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    lag_max_ms: float | None
    cpu_share: float
    gc_pause_max_ms: float
    merged_read_share: float
    kernel_stamps: bool
    stopped_early: str | None = None
    clock_steps: int = 0
    retried: int = 0
    scheduling: str = "normal"
    loop_delay_max_ms: float | None = None
    loop_stalled_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerReading:
    """What the server said of itself before and after a trial; None where it does not say.

    `restarted`: its process or its counters began anew in between. Tokens that the prefix cache was asked for and held,
    and sequences pushed out of the cache, are those of the trial.
    """

    restarted: bool | None = None
    prefix_queries: int | None = None
    prefix_hits: int | None = None
    preemptions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """One GPU over a trial, from its first sample to its last; `index` is the driver's number of it.

    `counter_j` is what its energy counter grew by (None: it has none), `integral_j` its power summed up over the same
    span. `memory_peak_bytes` is all that was in use on it, `utilisation` the share of time in which it computed.
    """

    index: int
    name: str
    samples: int
    sampled_s: float
    counter_j: float | None
    integral_j: float
    memory_peak_bytes: int
    utilisation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """One trial: its plan by digest, when it ran (RFC 3339, UTC), and at which place in the whole order.

    `engine_start` counts the engine's starts before it: 0 is the first. `idle_cpu_share` is what the other engines,
    which had no work, used meanwhile, in cores; None where none was up or that cannot be read. `gpus` are those of this
    machine that the engine could see.
    """

    trial: int
    position: int
    seed: int
    plan_digest: str
    planned_requests: int
    started_at: str
    duration_s: float
    notes: tuple[str, ...]
    driver: DriverReading
    engine_start: int = 0
    idle_cpu_share: float | None = None
    server: ServerReading | None = None
    gpus: tuple[GpuReading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One workload on one runtime. `engine` is the worker's RuntimeInfo as JSON, None for a bare URL that says nothing.

    `cause` and `last_words` tell why a run did not succeed: one sentence, and the engine's last log lines;
    `cause_code` is the error's code.
    """

    id: RunId
    model: str
    runtime: str
    workload: str
    target_url: str
    status: RunStatus
    cause: str | None
    last_words: tuple[str, ...]
    engine: Mapping[str, object] | None
    start_s: float | None
    trials: tuple[TrialRecord, ...]
    cause_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRecord:
    """The whole document. `benchmark` is the resolved spec (defaults filled in), `spec_hash` its SHA-256.

    `environment` is what was read from the machine; `requests_sha256` the checksum of `requests.parquet`. `calibration`
    has one entry per workload, none where it was switched off. `endpoint` is OpenAI's: `completions` or `chat`.
    `parity` is set where a comparison looked at the outputs.
    """

    schema: str = RECORD_SCHEMA
    id: str
    created_at: str
    tool: Mapping[str, str]
    command: str
    benchmark: Mapping[str, object]
    spec_hash: str
    environment: Mapping[str, object]
    runs: tuple[RunRecord, ...]
    requests_sha256: str
    calibration: tuple[Calibration, ...] = ()
    endpoint: str = "completions"
    parity: ParityResult | None = None
    summary: Mapping[str, object] = field(default_factory=dict)
