"""Workload: the load to offer. What arrives when, how long prompts and outputs are, and what counts as good.

Pure data: the times and lengths themselves are drawn in `bench.arrivals` and `bench.lengths` from a seed.
"""

import enum
from dataclasses import dataclass


class Arrival(enum.StrEnum):
    """How requests come. All but `concurrency` are open loop: they do not wait for answers."""

    POISSON = "poisson"
    CONSTANT = "constant"
    GAMMA = "gamma"
    RAMP = "ramp"
    TRACE = "trace"
    CONCURRENCY = "concurrency"


class TraceFormat(enum.StrEnum):
    """Published trace layouts that can be replayed."""

    AZURE = "azure"
    MOONCAKE = "mooncake"


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
class Trace:
    """A recorded load. `path` is the user's file; `speed` 2.0 replays twice as fast; `limit` keeps the first rows.

    Lengths that do not fit the model's window are scaled down together by one factor, which is recorded and reported.
    """

    path: str
    format: TraceFormat
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
    number. `warmup_s` of each trial's start is offered but not counted. `burstiness` is the squared inverse CV of
    gamma arrivals (1.0 is Poisson, lower is burstier). `ramp_to_qps` is the rate a ramp ends at.
    """

    name: str
    arrival: Arrival = Arrival.POISSON
    qps: float | None = None
    concurrency: int | None = None
    burstiness: float = 1.0
    ramp_to_qps: float | None = None
    duration_s: float | None = None
    requests: int | None = None
    prompt_len: Length = Fixed(value=256)
    gen_tokens: Length = Fixed(value=128)
    shared_prefix_tokens: int = 0
    trace: Trace | None = None
    dataset: str | None = None
    temperature: float = 0.0
    warmup_s: float = 0.0
    drain_s: float = 60.0
    request_timeout_s: float = 120.0
    slo: Slo | None = None
