"""The benchmark body as a schema: keys, types and ranges of `benchmark.yaml` and of `POST /benchmarks/run`.

Strict: text is not a number and `5.0` is not a whole one. A `null` is the same as an absent key. What one field alone
can say is here; what fields say to each other is in `benchmark_rules`. The descriptions are the hints a user reads.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from tokenforge.domain.benchmark import Order
from tokenforge.domain.runtime import Quant
from tokenforge.domain.workload import Arrival, TraceFormat

MAX_TOKENS = 1_000_000
_WEEK_S = 604_800.0
_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"


class Body(BaseModel):
    """A mapping with known keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {key: item for key, item in value.items() if item is not None or key not in cls.model_fields}


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _length_kind(value: object) -> Literal["number", "distribution"]:
    return "distribution" if isinstance(value, Mapping | BaseModel) else "number"


_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def _memory_bytes(value: object) -> object:
    """A quantity as Kubernetes writes it; whatever else it is, the schema refuses."""
    if not isinstance(value, str):
        return value
    number = value.rstrip("kKMGTi")
    unit = value[len(number) :]
    if not number.replace(".", "", 1).isascii() or not number.replace(".", "", 1).isdigit() or unit not in _UNITS:
        raise PydanticCustomError("bounds", "is not an amount of memory")
    return int(float(number) * _UNITS[unit])


Tokens = Annotated[int, Field(ge=1, le=MAX_TOKENS)]


class Bounded(Body):
    """A distribution between two bounds, both included."""

    low: Tokens = Field(default=1, description="the fewest tokens")
    high: Tokens = Field(default=MAX_TOKENS, description="the most tokens")

    @model_validator(mode="after")
    def _ordered(self) -> "Bounded":
        if self.low > self.high:
            raise PydanticCustomError("bounds", "low is above high = {high}", {"field": "low", "high": self.high})
        return self


class UniformBody(Bounded):
    """`uniform: {low: 100, high: 200}`."""

    low: Tokens = Field(description="the fewest tokens")
    high: Tokens = Field(description="the most tokens")


class NormalBody(Bounded):
    """`normal: {mean: 256, std: 64, low: 16, high: 512}`."""

    mean: float = Field(gt=0, le=MAX_TOKENS, description="tokens on average")
    std: float = Field(ge=0, le=MAX_TOKENS, description="standard deviation in tokens")


class LogNormalBody(Bounded):
    """`lognormal: {mean: 256, cv: 0.8, low: 16, high: 1024}`."""

    mean: float = Field(gt=0, le=MAX_TOKENS, description="tokens on average")
    cv: float = Field(ge=0, le=20, description="standard deviation divided by the mean, for example 0.8")


class HistogramBody(Body):
    """`histogram: {values: [64, 512], weights: [9, 1]}`."""

    values: list[Tokens] = Field(min_length=1, description="token counts, for example [64, 512]")
    weights: list[Annotated[float, Field(ge=0)]] = Field(min_length=1, description="one weight for each value")

    @model_validator(mode="after")
    def _paired(self) -> "HistogramBody":
        if len(self.values) != len(self.weights):
            numbers = {"values": len(self.values), "weights": len(self.weights), "field": "weights"}
            raise PydanticCustomError("bounds", "has {weights} numbers for {values} values", numbers)
        if sum(self.weights) <= 0:
            raise PydanticCustomError("bounds", "needs one weight above 0", {"field": "weights"})
        return self


class DistributionBody(Body):
    """Exactly one of the four."""

    uniform: UniformBody | None = None
    normal: NormalBody | None = None
    lognormal: LogNormalBody | None = None
    histogram: HistogramBody | None = None

    @model_validator(mode="after")
    def _one(self) -> "DistributionBody":
        if len(self.model_fields_set) != 1:
            raise PydanticCustomError("bounds", "must be a number or exactly one distribution")
        return self


LengthBody = Annotated[
    Annotated[Tokens, Tag("number")] | Annotated[DistributionBody, Tag("distribution")], Discriminator(_length_kind)
]


class TraceBody(Body):
    """`trace: {path: ./azure.csv, format: azure, speed: 1.0, limit: 300}`."""

    path: str = Field(min_length=1, description="the trace's file")
    format: TraceFormat = Field(strict=False, description="azure (CSV) or mooncake (JSON lines)")
    speed: float = Field(default=1.0, gt=0, le=10_000, description="2.0 replays twice as fast")
    limit: int | None = Field(default=None, ge=1, description="how many rows to keep")


class SloBody(Body):
    """`slo: {ttft_ms: 500, tpot_ms: 50, e2e_ms: 10000, attainment: 0.99}`."""

    ttft_ms: float | None = Field(default=None, gt=0, description="milliseconds to the first token")
    tpot_ms: float | None = Field(default=None, gt=0, description="milliseconds for each further token")
    e2e_ms: float | None = Field(default=None, gt=0, description="milliseconds to the last token")
    attainment: float = Field(default=0.99, gt=0, le=1, description="the share that must be good, for example 0.99")

    @model_validator(mode="after")
    def _limits_something(self) -> "SloBody":
        if self.ttft_ms is None and self.tpot_ms is None and self.e2e_ms is None:
            raise PydanticCustomError("bounds", "needs at least one of ttft_ms, tpot_ms, e2e_ms")
        return self


class WorkloadBody(Body):
    """One entry of `workloads`."""

    name: str = Field(pattern=_NAME, description="a-z, 0-9 and -, up to 63, for example qa-short")
    arrival: Arrival | None = Field(default=None, strict=False, description="how requests arrive")
    qps: float | None = Field(default=None, le=1_000_000, description="requests per second, for example 5")
    concurrency: int | None = Field(default=None, ge=1, le=100_000, description="clients at once, for example 8")
    burstiness: float = Field(default=1.0, ge=0.01, le=1_000, description="1.0 is Poisson, lower is burstier")
    ramp_to_qps: float | None = Field(default=None, gt=0, le=1_000_000, description="requests per second at the end")
    duration_s: float | None = Field(default=None, gt=0, le=_WEEK_S, description="seconds of load, for example 60")
    requests: int | None = Field(default=None, ge=1, description="how many requests, for example 300")
    prompt_len: LengthBody = Field(default=256, description="tokens, or a distribution")
    gen_tokens: LengthBody = Field(default=128, description="tokens, or a distribution")
    shared_prefix: int = Field(default=0, ge=0, le=MAX_TOKENS, description="tokens that all prompts begin with")
    trace: TraceBody | None = Field(default=None, description="a mapping: path, format, speed, limit")
    dataset: str | None = Field(default=None, min_length=1, description="a file of prompts, one JSON object a line")
    temperature: float = Field(default=0.0, ge=0, le=2, description="0 is greedy")
    warmup: float = Field(default=0.0, ge=0, le=_WEEK_S, description="seconds at the start that do not count")
    drain_s: float = Field(default=60.0, ge=0, le=_WEEK_S, description="seconds to wait for the last answers")
    request_timeout_s: float = Field(default=120.0, gt=0, le=_WEEK_S, description="seconds one answer may take")
    slo: SloBody | None = Field(default=None, description="a mapping: ttft_ms, tpot_ms, e2e_ms, attainment")


class ResourcesBody(Body):
    """`resources: {gpu: 1, gpu_type: H100, cpu: 8, memory: 32Gi}`."""

    gpu: int = Field(default=0, ge=0, le=1_024, description="how many GPUs")
    gpu_type: str | None = Field(default=None, min_length=1, description="the GPU's name, for example H100")
    cpu: float | None = Field(default=None, gt=0, le=100_000, description="cores, for example 8")
    memory: Annotated[int, BeforeValidator(_memory_bytes)] | None = Field(
        default=None, gt=0, description="bytes, or with a unit: 8Gi, 512Mi"
    )


class BenchmarkBody(Body):
    """The whole document."""

    model: str | None = Field(default=None, description="a hub id (owner/name), a folder (./path), or synthetic:NAME")
    models: Annotated[list[str], BeforeValidator(_as_list)] | None = Field(default=None, min_length=1)
    runtimes: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        min_length=1, description="a list, for example [vllm, transformers]"
    )
    workloads: list[WorkloadBody] = Field(min_length=1, description="a list of workloads, each with a name")
    seed: int = Field(default=0, ge=0, lt=2**63, description="a whole number; the same seed gives the same load")
    trials: int = Field(default=1, ge=1, le=10_000, description="how often each workload is measured, 5 or more")
    slo: SloBody | None = Field(default=None, description="for every workload that has none of its own")
    order: Order = Field(default=Order.INTERLEAVED, strict=False, description="interleaved or sequential")
    quant: Quant | None = Field(default=None, strict=False, description="the weights' format")
    max_model_len: int | None = Field(default=None, ge=1, description="the window in tokens, for example 4096")
    resources: ResourcesBody = Field(default=ResourcesBody(), description="a mapping: gpu, gpu_type, cpu, memory")
    engine_args: dict[str, dict[str, object]] = Field(
        default_factory=dict, description="a mapping for each runtime, for example vllm: {max_num_seqs: 64}"
    )
    price_per_hour: float | None = Field(default=None, ge=0, description="money per hour of this hardware")
