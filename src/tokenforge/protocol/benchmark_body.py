"""The benchmark body as a schema: keys, types and ranges of `benchmark.yaml` and of `POST /benchmarks/run`.

Strict: text is not a number and `5.0` is not a whole one. A `null` is the same as an absent key. What one field alone
can say is here; what fields say to each other is in `benchmark_rules`. The descriptions are the hints a user reads.
"""

from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from tokenforge.domain.benchmark import Order
from tokenforge.domain.placement import Placement
from tokenforge.domain.runtime import Quant
from tokenforge.domain.slo_presets import SLO_PRESETS
from tokenforge.domain.workload import Arrival
from tokenforge.protocol.benchmark_durations import WEEK_S, DurationBody, Seconds
from tokenforge.protocol.benchmark_lengths import MAX_TOKENS, Body, LengthBody, kind_of

_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


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


class TraceBody(Body):
    """`trace: {path: ./azure.csv, format: azure, speed: 1.0, limit: 300}`. Which formats there are is a rule."""

    path: str = Field(min_length=1, description="the trace's file")
    format: str = Field(min_length=1, description="azure or burstgpt (CSV), mooncake (JSON lines)")
    speed: float = Field(default=1.0, gt=0, le=10_000, description="2.0 replays twice as fast")
    limit: int | None = Field(default=None, ge=1, description="how many rows to keep")


class StepBody(Body):
    """`{qps: 5, duration_s: 30}`."""

    qps: float = Field(ge=0, le=1_000_000, description="requests per second, for example 5; 0 is a pause")
    duration_s: Seconds = Field(gt=0, le=WEEK_S, description="seconds at that rate, for example 30")


class SharedPrefixBody(Body):
    """`shared_prefix: {tokens: 512, groups: 4}`."""

    tokens: int = Field(ge=1, le=MAX_TOKENS, description="tokens that all prompts of a group begin with")
    groups: int = Field(default=1, ge=1, le=100_000, description="how many different prefixes there are")


class DatasetBody(Body):
    """`dataset: {path: ./prompts.jsonl, format: jsonl}`."""

    path: str = Field(min_length=1, description="the file of prompts")
    format: str = Field(default="jsonl", min_length=1, description="jsonl, or a plug-in's")


class SloBody(Body):
    """`slo: {ttft_ms: 500, tpot_ms: 50, e2e_ms: 10000, attainment: 0.99}`, or `slo: {preset: llama3.1-8b}`."""

    preset: str | None = Field(default=None, description="limits by name, for example llama3.1-8b")
    ttft_ms: float | None = Field(default=None, gt=0, description="milliseconds to the first token")
    tpot_ms: float | None = Field(default=None, gt=0, description="milliseconds for each further token")
    e2e_ms: float | None = Field(default=None, gt=0, description="milliseconds to the last token")
    attainment: float = Field(default=0.99, gt=0, le=1, description="the share that must be good, for example 0.99")

    @model_validator(mode="after")
    def _limits_something(self) -> "SloBody":
        if self.preset is not None:
            if self.preset not in SLO_PRESETS:
                raise PydanticCustomError("bounds", "has no such preset; there are " + ", ".join(SLO_PRESETS))
            return self
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
    steps: list[StepBody] | None = Field(
        default=None, min_length=1, description="a list, for example [{qps: 5, duration_s: 30}]"
    )
    duration_s: float | None = Field(default=None, gt=0, le=WEEK_S, description="seconds of load, for example 60")
    requests: int | None = Field(default=None, ge=1, description="how many requests, for example 300")
    prompt_len: LengthBody = Field(default=256, description="tokens, or a distribution")
    gen_tokens: LengthBody = Field(default=128, description="tokens, or a distribution")
    turns: LengthBody | None = Field(default=None, description="turns of a conversation: a number or a distribution")
    think_time_s: DurationBody | None = Field(default=None, description="seconds before each later turn, for example 2")
    shared_prefix: Annotated[
        Annotated[Annotated[int, Field(ge=0, le=MAX_TOKENS)], Tag("plain")]
        | Annotated[SharedPrefixBody, Tag("mapping")],
        Discriminator(kind_of),
    ] = Field(default=0, description="tokens that all prompts begin with, or {tokens: 512, groups: 4}")
    cancel_share: float = Field(default=0.0, ge=0, le=1, description="the share that is hung up on, 0 to 1")
    cancel_after_s: DurationBody | None = Field(default=None, description="seconds after the send, for example 0.5")
    trace: TraceBody | None = Field(default=None, description="a mapping: path, format, speed, limit")
    dataset: (
        Annotated[
            Annotated[Annotated[str, Field(min_length=1)], Tag("plain")] | Annotated[DatasetBody, Tag("mapping")],
            Discriminator(kind_of),
        ]
        | None
    ) = Field(default=None, description="a file of prompts, one JSON object a line, or {path, format}")
    temperature: float = Field(default=0.0, ge=0, le=2, description="0 is greedy")
    warmup: Annotated[Seconds, Field(ge=0, le=WEEK_S)] | None = Field(
        default=None, description="seconds at the start that do not count; by default 30, less where the load is short"
    )
    drain_s: float = Field(default=60.0, ge=0, le=WEEK_S, description="seconds to wait for the last answers")
    request_timeout_s: float = Field(default=120.0, gt=0, le=WEEK_S, description="seconds one answer may take")
    slo: SloBody | None = Field(default=None, description="a mapping: preset, ttft_ms, tpot_ms, e2e_ms, attainment")


class ResourcesBody(Body):
    """`resources: {gpu: 1, gpu_type: H100, cpu: 8, memory: 32Gi}`."""

    gpu: int = Field(default=0, ge=0, le=1_024, description="how many GPUs")
    gpu_type: str | None = Field(default=None, min_length=1, max_length=128, description="its name, for example H100")
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
    target: Placement = Field(
        default=Placement.LOCAL, strict=False, description="local, or kubernetes: deployed and measured on the cluster"
    )
