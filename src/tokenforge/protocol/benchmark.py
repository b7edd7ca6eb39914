"""Read a benchmark as users write it (`benchmark.yaml`, `POST /benchmarks/run`) into the domain's Benchmark.

Every fault is found before any is reported: those of single fields (`benchmark_body`) and those between fields
(`benchmark_rules`). No file is opened here and no runtime looked up: the registry knows which plugs exist.
"""

from collections.abc import Mapping

from pydantic import ValidationError

from tokenforge.domain.benchmark import Benchmark, Resources
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import parse_runtime
from tokenforge.domain.slo_presets import SLO_PRESETS
from tokenforge.domain.workload import Arrival, Dataset, Fixed, Length, Slo, Step, Trace, Workload
from tokenforge.protocol.benchmark_body import (
    BenchmarkBody,
    DatasetBody,
    ResourcesBody,
    SharedPrefixBody,
    SloBody,
    TraceBody,
    WorkloadBody,
)
from tokenforge.protocol.benchmark_durations import to_duration
from tokenforge.protocol.benchmark_lengths import DistributionBody, to_length
from tokenforge.protocol.benchmark_rules import rule_faults
from tokenforge.protocol.benchmark_words import schema_faults
from tokenforge.protocol.benchmark_workload_rules import PUBLISHED, Formats, inferred_arrival


def parse_benchmark(
    data: Mapping[str, object], *, source: str = "benchmark", formats: Formats = PUBLISHED
) -> Benchmark:
    """The Benchmark that `data` describes, defaults filled in.

    Raises InvalidInput with all faults; each `field` is the path as written (`workloads[0].qps`). `source` names where
    the data came from, for the message; `formats` are the traces and datasets that can be read here.
    """
    faults: list[Fault] = []
    body: BenchmarkBody | None = None
    try:
        body = BenchmarkBody.model_validate(data)
    except ValidationError as error:
        faults.extend(schema_faults(error))
    known = {fault.field for fault in faults}
    faults.extend(fault for fault in rule_faults(data, formats=formats) if fault.field not in known)
    if body is None or faults:
        raise InvalidInput(faults, source=source)
    return _benchmark(body)


def _benchmark(body: BenchmarkBody) -> Benchmark:
    models = body.models if body.model is None else [body.model]
    return Benchmark(
        models=tuple(parse_model(text) for text in models or ()),
        runtimes=tuple(parse_runtime(text) for text in body.runtimes),
        workloads=tuple(_workload(workload, slo=workload.slo or body.slo) for workload in body.workloads),
        seed=body.seed,
        trials=body.trials,
        order=body.order,
        quant=body.quant,
        max_model_len=body.max_model_len,
        resources=_resources(body.resources),
        engine_args=body.engine_args,
        price_per_hour=body.price_per_hour,
        target=body.target,
    )


def _workload(body: WorkloadBody, *, slo: SloBody | None) -> Workload:
    steps = tuple(Step(qps=step.qps, duration_s=step.duration_s) for step in body.steps or ())
    prefix_tokens, prefix_groups = _prefix(body.shared_prefix)
    return Workload(
        name=body.name,
        arrival=inferred_arrival(body.model_dump()) or Arrival.POISSON,
        qps=body.qps,
        concurrency=body.concurrency,
        burstiness=body.burstiness,
        ramp_to_qps=body.ramp_to_qps,
        steps=steps,
        duration_s=sum(step.duration_s for step in steps) if steps else body.duration_s,
        requests=body.requests,
        turns=_turns(body.turns),
        think_time_s=to_duration(body.think_time_s),
        prompt_len=to_length(body.prompt_len),
        gen_tokens=to_length(body.gen_tokens),
        shared_prefix_tokens=prefix_tokens,
        shared_prefix_groups=prefix_groups,
        cancel_share=body.cancel_share,
        cancel_after_s=to_duration(body.cancel_after_s),
        trace=None if body.trace is None else _trace(body.trace),
        dataset=_dataset(body.dataset),
        temperature=body.temperature,
        warmup_s=body.warmup,
        drain_s=body.drain_s,
        request_timeout_s=body.request_timeout_s,
        slo=None if slo is None else _slo(slo),
    )


def _turns(body: int | DistributionBody | None) -> Length | None:
    """One turn is a request that stands alone."""
    turns = None if body is None else to_length(body)
    return None if turns == Fixed(value=1) else turns


def _prefix(body: int | SharedPrefixBody) -> tuple[int, int]:
    """Tokens and groups."""
    return (body, 1) if isinstance(body, int) else (body.tokens, body.groups)


def _dataset(body: str | DatasetBody | None) -> Dataset | None:
    if body is None:
        return None
    return Dataset(path=body) if isinstance(body, str) else Dataset(path=body.path, format=body.format)


def _trace(body: TraceBody) -> Trace:
    return Trace(path=body.path, format=body.format, speed=body.speed, limit=body.limit)


def _slo(body: SloBody) -> Slo:
    """What is written goes before what the preset says."""
    if body.preset is None:
        return Slo(ttft_ms=body.ttft_ms, tpot_ms=body.tpot_ms, e2e_ms=body.e2e_ms, attainment=body.attainment)
    base = SLO_PRESETS[body.preset]
    return Slo(
        ttft_ms=base.ttft_ms if body.ttft_ms is None else body.ttft_ms,
        tpot_ms=base.tpot_ms if body.tpot_ms is None else body.tpot_ms,
        e2e_ms=base.e2e_ms if body.e2e_ms is None else body.e2e_ms,
        attainment=body.attainment,
    )


def _resources(body: ResourcesBody) -> Resources:
    return Resources(gpu=body.gpu, gpu_type=body.gpu_type, cpu=body.cpu, memory_bytes=body.memory)
