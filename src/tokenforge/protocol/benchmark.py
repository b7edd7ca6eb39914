"""The benchmark's words: the body of `benchmark.yaml` (and of `POST /benchmarks/run`) to a domain `Benchmark`.

All faults are reported at once, each with the path as the user wrote it, the value, and what to write instead. Unknown
keys are faults that name the nearest right one. Refuses what cannot be offered: an open loop without a rate or an end.
"""

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, StrictStr, ValidationError

from tokenforge.domain import workload as nouns
from tokenforge.domain.benchmark import Benchmark, Order, Resources
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.model import ModelRef, parse_model
from tokenforge.domain.runtime import Quant, RuntimeRef, parse_runtime

_NOT_YET = {"turns": "multi-turn conversations"}
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]*$")
_MEMORY = re.compile(r"^(\d+(?:\.\d+)?)\s*(Ki|Mi|Gi|Ti|K|M|G|T)?B?$")
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

Number = StrictInt | StrictFloat
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Count = Annotated[StrictInt, Field(ge=1)]


class _Words(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Uniform(_Words):
    low: Count
    high: Count


class _Normal(_Words):
    mean: Positive
    std: NotNegative
    low: Count = 1
    high: Count = 1_000_000


class _LogNormal(_Words):
    mean: Positive
    cv: NotNegative
    low: Count = 1
    high: Count = 1_000_000


class _Histogram(_Words):
    values: Annotated[list[Count], Field(min_length=1)]
    weights: Annotated[list[NotNegative], Field(min_length=1)]


class _Drawn(_Words):
    uniform: _Uniform | None = None
    normal: _Normal | None = None
    lognormal: _LogNormal | None = None
    histogram: _Histogram | None = None


class _Slo(_Words):
    ttft_ms: Positive | None = None
    tpot_ms: Positive | None = None
    e2e_ms: Positive | None = None
    attainment: Annotated[Number, Field(gt=0, le=1)] = 0.99


class _Trace(_Words):
    path: StrictStr
    format: Literal["azure", "mooncake"]
    speed: Positive = 1.0
    limit: Count | None = None


class _Workload(_Words):
    name: StrictStr
    arrival: Literal["poisson", "constant", "gamma", "ramp", "trace", "concurrency"] | None = None
    qps: Positive | None = None
    concurrency: Count | None = None
    burstiness: Positive = 1.0
    ramp_to_qps: Positive | None = None
    duration_s: Positive | None = None
    requests: Count | None = None
    prompt_len: Count | _Drawn = 256
    gen_tokens: Count | _Drawn = 128
    shared_prefix: Annotated[StrictInt, Field(ge=0)] = 0
    trace: _Trace | None = None
    dataset: StrictStr | None = None
    temperature: NotNegative = 0.0
    warmup: NotNegative = 0.0
    drain_s: Positive = 60.0
    request_timeout_s: Positive = 120.0
    slo: _Slo | None = None


class _Resources(_Words):
    gpu: Annotated[StrictInt, Field(ge=0)] = 0
    gpu_type: StrictStr | None = None
    cpu: Positive | None = None
    memory: StrictStr | Count | None = None


class _Benchmark(_Words):
    model: StrictStr | None = None
    models: Annotated[list[StrictStr], Field(min_length=1)] | None = None
    runtimes: Annotated[list[StrictStr], Field(min_length=1)] | StrictStr
    workloads: Annotated[list[_Workload], Field(min_length=1)]
    seed: Annotated[StrictInt, Field(ge=0)] = 0
    trials: Count = 1
    slo: _Slo | None = None
    order: Literal["interleaved", "sequential"] = "interleaved"
    quant: Literal["fp32", "bf16", "fp16", "fp8", "int8", "int4", "awq", "gptq"] | None = None
    max_model_len: Count | None = None
    resources: _Resources = _Resources()
    engine_args: dict[StrictStr, dict[StrictStr, object]] = Field(default_factory=dict)
    price_per_hour: NotNegative | None = None


def parse_benchmark(data: Mapping[str, object], *, source: str = "benchmark") -> Benchmark:
    """Read a benchmark. Raises InvalidInput, under the name `source`, with every fault that was found."""
    try:
        words = _Benchmark.model_validate(data)
    except ValidationError as error:
        raise InvalidInput(_shape_faults(error, data), source=source) from None
    faults: list[Fault] = []
    models = _models(words, faults)
    runtimes = _runtimes(words, faults)
    memory = _memory(words.resources.memory, faults)
    workloads = tuple(_workload(entry, number, words, faults) for number, entry in enumerate(words.workloads))
    _check_names(words, faults)
    _check_engine_args(words, runtimes, faults)
    if faults:
        raise InvalidInput(faults, source=source)
    resources = words.resources
    return Benchmark(
        models=models,
        runtimes=runtimes,
        workloads=workloads,
        seed=words.seed,
        trials=words.trials,
        order=Order(words.order),
        quant=None if words.quant is None else Quant(words.quant),
        max_model_len=words.max_model_len,
        resources=Resources(gpu=resources.gpu, gpu_type=resources.gpu_type, cpu=resources.cpu, memory_bytes=memory),
        engine_args=words.engine_args,
        price_per_hour=words.price_per_hour,
    )


def _models(words: _Benchmark, faults: list[Fault]) -> tuple[ModelRef, ...]:
    if (words.model is None) == (words.models is None):
        given = None if words.model is None else [words.model, words.models]
        faults.append(Fault(field="model", value=given, message="give one of model or models"))
        return ()
    one = [("model", words.model)] if words.model is not None else []
    named = one or [(f"models[{i}]", name) for i, name in enumerate(words.models or ())]
    found: list[ModelRef] = []
    for field, name in named:
        try:
            found.append(parse_model(name, field=field))
        except InvalidInput as error:
            faults.extend(error.faults)
    return tuple(found)


def _runtimes(words: _Benchmark, faults: list[Fault]) -> tuple[RuntimeRef, ...]:
    given = [words.runtimes] if isinstance(words.runtimes, str) else words.runtimes
    found: list[RuntimeRef] = []
    for number, name in enumerate(given):
        field = f"runtimes[{number}]"
        try:
            ref = parse_runtime(name, field=field)
        except InvalidInput as error:
            faults.extend(error.faults)
            continue
        found.append(ref)
    return tuple(found)


def _memory(text: str | int | None, faults: list[Fault]) -> int | None:
    if text is None or isinstance(text, int):
        return text
    match = _MEMORY.match(text.strip())
    if match is None:
        faults.append(Fault(field="resources.memory", value=text, message="is not a size", hint="write 8Gi or 500Mi"))
        return None
    return int(float(match[1]) * _UNITS[match[2] or ""])


def _workload(entry: _Workload, number: int, words: _Benchmark, faults: list[Fault]) -> nouns.Workload:
    at = f"workloads[{number}]"
    arrival = _arrival(entry)
    faults.extend(_load_faults(entry, arrival, at))
    slo = entry.slo or words.slo
    trace = entry.trace
    return nouns.Workload(
        name=entry.name,
        arrival=arrival,
        qps=entry.qps,
        concurrency=entry.concurrency,
        burstiness=entry.burstiness,
        ramp_to_qps=entry.ramp_to_qps,
        duration_s=entry.duration_s,
        requests=entry.requests,
        prompt_len=_length(entry.prompt_len, f"{at}.prompt_len", faults),
        gen_tokens=_length(entry.gen_tokens, f"{at}.gen_tokens", faults),
        shared_prefix_tokens=entry.shared_prefix,
        trace=None if trace is None else nouns.Trace(
            path=trace.path, format=nouns.TraceFormat(trace.format), speed=trace.speed, limit=trace.limit
        ),
        dataset=entry.dataset,
        temperature=entry.temperature,
        warmup_s=entry.warmup,
        drain_s=entry.drain_s,
        request_timeout_s=entry.request_timeout_s,
        slo=None if slo is None else nouns.Slo(**slo.model_dump()),
    )  # fmt: skip


def _arrival(entry: _Workload) -> nouns.Arrival:
    if entry.arrival is not None:
        return nouns.Arrival(entry.arrival)
    if entry.trace is not None:
        return nouns.Arrival.TRACE
    return nouns.Arrival.CONCURRENCY if entry.concurrency is not None else nouns.Arrival.POISSON


def _load_faults(entry: _Workload, arrival: nouns.Arrival, at: str) -> list[Fault]:
    """What a load lacks for its kind of arrival."""
    needs: dict[str, tuple[object, str]] = {}
    if arrival is nouns.Arrival.TRACE:
        needs["trace"] = (entry.trace, "write trace: {path: FILE, format: azure}")
    elif arrival is nouns.Arrival.CONCURRENCY:
        needs["concurrency"] = (entry.concurrency, "the number of clients, for example 8")
    else:
        needs["qps"] = (entry.qps, "requests per second, for example 5")
    if arrival is nouns.Arrival.RAMP:
        needs["ramp_to_qps"] = (entry.ramp_to_qps, "the rate at the end")
        needs["duration_s"] = (entry.duration_s, "how long the ramp takes")
    elif arrival is not nouns.Arrival.TRACE:
        needs["duration_s"] = (entry.duration_s or entry.requests, "an end: duration_s or requests")
    return [
        Fault(field=f"{at}.{name}", value=None, message=f"is needed for {arrival} arrivals", hint=hint)
        for name, (value, hint) in needs.items()
        if value is None
    ]


def _length(given: int | _Drawn, field: str, faults: list[Fault]) -> nouns.Length:
    if isinstance(given, int):
        return nouns.Fixed(value=given)
    kinds = [kind for kind in (given.uniform, given.normal, given.lognormal, given.histogram) if kind is not None]
    if len(kinds) != 1:
        hint = "write a number, or one of uniform, normal, lognormal, histogram"
        faults.append(Fault(field=field, value=given.model_dump(exclude_none=True), message="needs one", hint=hint))
        return nouns.Fixed(value=1)
    kind = kinds[0]
    if isinstance(kind, _Histogram):
        if len(kind.values) != len(kind.weights) or not sum(kind.weights) > 0:
            hint = "as many weights as values, one of them above 0"
            faults.append(Fault(field=f"{field}.histogram", value=kind.weights, message="does not fit", hint=hint))
        return nouns.Histogram(values=tuple(kind.values), weights=tuple(map(float, kind.weights)))
    if kind.low > kind.high:
        faults.append(Fault(field=field, value=kind.model_dump(), message="low is above high"))
    if isinstance(kind, _Uniform):
        return nouns.Uniform(low=kind.low, high=kind.high)
    if isinstance(kind, _Normal):
        return nouns.Normal(**kind.model_dump())
    return nouns.LogNormal(**kind.model_dump())


def _check_names(words: _Benchmark, faults: list[Fault]) -> None:
    seen: set[str] = set()
    for number, entry in enumerate(words.workloads):
        field = f"workloads[{number}].name"
        if not _NAME.match(entry.name):
            faults.append(Fault(field=field, value=entry.name, message="may hold a-z, 0-9 and - only"))
        if entry.name in seen:
            faults.append(Fault(field=field, value=entry.name, message="is taken by an earlier workload"))
        seen.add(entry.name)


def _check_engine_args(words: _Benchmark, runtimes: tuple[RuntimeRef, ...], faults: list[Fault]) -> None:
    names = sorted({runtime.name for runtime in runtimes})
    for name in words.engine_args:
        if name not in names:
            hint = f"runtimes here: {', '.join(names)}"
            faults.append(Fault(field=f"engine_args.{name}", value=name, message="is not a runtime here", hint=hint))


def _shape_faults(error: ValidationError, data: Mapping[str, object]) -> list[Fault]:
    """pydantic's errors in our words; alternatives of one union at one place become one fault."""
    faults: dict[str, Fault] = {}
    for item in error.errors(include_url=False):
        place = [part for part in item["loc"] if not _is_alternative(part)]
        field = _path(place)
        if field in faults:
            continue
        faults[field] = _shape_fault(item["type"], field=field, place=place, message=item["msg"], value=item["input"])
    inner = [f for f in faults if any(o != f and o.startswith((f + ".", f + "[")) for o in faults)]
    return [fault for field, fault in faults.items() if field not in inner] if data else list(faults.values())


def _shape_fault(kind: str, *, field: str, place: list[int | str], message: str, value: object) -> Fault:
    if kind == "extra_forbidden":
        name = str(place[-1])
        if name in _NOT_YET:
            return Fault(
                field=field, value=value, message=f"{_NOT_YET[name]} are not supported yet", hint="leave it out"
            )
        known = _keys_at(place)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"keys here: {', '.join(known)}"
        return Fault(field=field, value=value, message="is not a known key", hint=hint)
    if kind == "missing":
        return Fault(field=field, value=None, message="is needed")
    return Fault(field=field, value=value, message=message[0].lower() + message[1:])


_MODELS: dict[str, type[_Words]] = {
    "workloads": _Workload, "slo": _Slo, "trace": _Trace, "resources": _Resources, "uniform": _Uniform,
    "normal": _Normal, "lognormal": _LogNormal, "histogram": _Histogram, "prompt_len": _Drawn, "gen_tokens": _Drawn,
}  # fmt: skip


def _keys_at(place: list[int | str]) -> list[str]:
    parents = [part for part in place[:-1] if isinstance(part, str) and part in _MODELS]
    return list((_MODELS[parents[-1]] if parents else _Benchmark).model_fields)


def _is_alternative(part: int | str) -> bool:
    """Names that pydantic adds to a path for the members of a union."""
    return isinstance(part, str) and (
        part.startswith(("_", "constrained-", "list[", "function-")) or part in {"int", "float", "str"}
    )


def _path(place: list[int | str]) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "(top)"
