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
from tokenforge.domain.workload import (
    Arrival,
    Fixed,
    Histogram,
    Length,
    LogNormal,
    Normal,
    Slo,
    Trace,
    Uniform,
    Workload,
)
from tokenforge.protocol.benchmark_body import (
    BenchmarkBody,
    DistributionBody,
    ResourcesBody,
    SloBody,
    TraceBody,
    WorkloadBody,
)
from tokenforge.protocol.benchmark_rules import inferred_arrival, rule_faults
from tokenforge.protocol.benchmark_words import schema_faults


def parse_benchmark(data: Mapping[str, object], *, source: str = "benchmark") -> Benchmark:
    """The Benchmark that `data` describes, defaults filled in.

    Raises InvalidInput with all faults; each `field` is the path as written (`workloads[0].qps`). `source` names where
    the data came from, for the message.
    """
    faults: list[Fault] = []
    body: BenchmarkBody | None = None
    try:
        body = BenchmarkBody.model_validate(data)
    except ValidationError as error:
        faults.extend(schema_faults(error))
    known = {fault.field for fault in faults}
    faults.extend(fault for fault in rule_faults(data) if fault.field not in known)
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
    )


def _workload(body: WorkloadBody, *, slo: SloBody | None) -> Workload:
    return Workload(
        name=body.name,
        arrival=inferred_arrival(body.model_dump()) or Arrival.POISSON,
        qps=body.qps,
        concurrency=body.concurrency,
        burstiness=body.burstiness,
        ramp_to_qps=body.ramp_to_qps,
        duration_s=body.duration_s,
        requests=body.requests,
        prompt_len=_length(body.prompt_len),
        gen_tokens=_length(body.gen_tokens),
        shared_prefix_tokens=body.shared_prefix,
        trace=None if body.trace is None else _trace(body.trace),
        dataset=body.dataset,
        temperature=body.temperature,
        warmup_s=body.warmup,
        drain_s=body.drain_s,
        request_timeout_s=body.request_timeout_s,
        slo=None if slo is None else _slo(slo),
    )


def _length(body: int | DistributionBody) -> Length:
    if isinstance(body, int):
        return Fixed(value=body)
    if (uniform := body.uniform) is not None:
        return Uniform(low=uniform.low, high=uniform.high)
    if (normal := body.normal) is not None:
        return Normal(mean=normal.mean, std=normal.std, low=normal.low, high=normal.high)
    if (lognormal := body.lognormal) is not None:
        return LogNormal(mean=lognormal.mean, cv=lognormal.cv, low=lognormal.low, high=lognormal.high)
    histogram = body.histogram
    assert histogram is not None  # the schema lets exactly one of the four through
    return Histogram(values=tuple(histogram.values), weights=tuple(histogram.weights))


def _trace(body: TraceBody) -> Trace:
    return Trace(path=body.path, format=body.format, speed=body.speed, limit=body.limit)


def _slo(body: SloBody) -> Slo:
    return Slo(ttft_ms=body.ttft_ms, tpot_ms=body.tpot_ms, e2e_ms=body.e2e_ms, attainment=body.attainment)


def _resources(body: ResourcesBody) -> Resources:
    return Resources(gpu=body.gpu, gpu_type=body.gpu_type, cpu=body.cpu, memory_bytes=body.memory)
