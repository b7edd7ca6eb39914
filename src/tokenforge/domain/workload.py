"""Workload: the load to offer. What arrives when, how long prompts and outputs are, and what counts as good.

Pure data: the times and lengths themselves are drawn in `bench.arrivals` and `bench.lengths` from a seed.
"""

import enum
from dataclasses import dataclass

from tokenforge.domain.durations import Duration


class Arrival(enum.StrEnum):
    """How requests come. All but `concurrency` are open loop: they do not wait for answers."""

    POISSON = "poisson"
    CONSTANT = "constant"
    GAMMA = "gamma"
    RAMP = "ramp"
    STEP = "step"
    TRACE = "trace"
    CONCURRENCY = "concurrency"


class TraceFormat(enum.StrEnum):
    """Published trace layouts that can be replayed; a plug-in may add others by their name."""

    AZURE = "azure"
    MOONCAKE = "mooncake"
    BURSTGPT = "burstgpt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """Every draw is `value` tokens."""

    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Uniform:
    """Whole numbers from `low` to `high` tokens, both included, equally likely."""

    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Normal:
    """Normal with `mean` and `std` tokens, rounded, kept within [`low`, `high`] by drawing again."""

    mean: float
    std: float
    low: int = 1
    high: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal:
    """Lognormal with `mean` and coefficient of variation `cv` of the tokens (not of their logarithm), within bounds."""

    mean: float
    cv: float
    low: int = 1
    high: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """`values[i]` tokens with relative weight `weights[i]`."""

    values: tuple[int, ...]
    weights: tuple[float, ...]


Length = Fixed | Uniform | Normal | LogNormal | Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A stretch of `duration_s` seconds at a constant rate of `qps` requests/s; 0 is a pause."""

    qps: float
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Prompts from the user's file at `path`. `format` is `jsonl`, or a plug-in's."""

    path: str
    format: str = "jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A recorded load. `path` is the user's file; `speed` 2.0 replays twice as fast; `limit` keeps the first rows.

    `format` is one of TraceFormat, or a plug-in's. Lengths that do not fit the model's window are scaled down together
    by one factor, which is recorded and reported.
    """

    path: str
    format: str
    speed: float = 1.0
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """What a good request is: every limit that is set is met. `attainment` is the share that must be good."""

    ttft_ms: float | None = None
    tpot_ms: float | None = None
    e2e_ms: float | None = None
    attainment: float = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One load. `qps` is the mean rate in requests/s for open loops; `concurrency` the clients of a closed loop.

    `duration_s` bounds the arrivals (requests in flight then are waited for, within `drain_s`); `requests` bounds their
    number. `warmup_s` of each trial's start is offered but not counted (None: analysis decides, by the length of the
    load). `burstiness` is the squared inverse CV of gamma arrivals (1.0 is Poisson, lower is burstier). `ramp_to_qps`
    is the rate a ramp ends at; `steps` are the rates of `step`, whose `duration_s` is their sum.

    With `turns` what arrives is a conversation of so many requests: `qps` counts conversations/s, `concurrency` those
    at once, and the conversation that reaches `requests` is the last. `think_time_s` passes from an answer's end to the
    next turn. `cancel_share` of the requests is hung up on `cancel_after_s` their send. `shared_prefix_tokens` begin
    every prompt: the same ones, or those of one of `shared_prefix_groups`.
    """

    name: str
    arrival: Arrival = Arrival.POISSON
    qps: float | None = None
    concurrency: int | None = None
    burstiness: float = 1.0
    ramp_to_qps: float | None = None
    steps: tuple[Step, ...] = ()
    duration_s: float | None = None
    requests: int | None = None
    turns: Length | None = None
    think_time_s: Duration | None = None
    prompt_len: Length = Fixed(value=256)
    gen_tokens: Length = Fixed(value=128)
    shared_prefix_tokens: int = 0
    shared_prefix_groups: int = 1
    cancel_share: float = 0.0
    cancel_after_s: Duration | None = None
    trace: Trace | None = None
    dataset: Dataset | None = None
    temperature: float = 0.0
    warmup_s: float | None = None
    drain_s: float = 60.0
    request_timeout_s: float = 120.0
    slo: Slo | None = None
