"""Reading a benchmark: what is accepted, and what it becomes."""

import pytest

from tokenforge.domain.benchmark import Order, Resources
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.runtime import Quant, RuntimeRef
from tokenforge.domain.workload import (
    Arrival,
    Fixed,
    Histogram,
    Length,
    LogNormal,
    Normal,
    Slo,
    Trace,
    TraceFormat,
    Uniform,
    Workload,
)
from tokenforge.protocol.benchmark import parse_benchmark


def body(**workload: object) -> dict[str, object]:
    return {"model": "synthetic:tiny", "runtimes": ["sim"], "workloads": [{"name": "a", **workload}]}


def one(**workload: object) -> Workload:
    return parse_benchmark(body(**workload)).workloads[0]


def test_the_first_example_of_the_specification_is_accepted_as_it_stands() -> None:
    spec = {"name": "qa-short", "qps": 5, "duration_s": 180, "prompt_len": 256, "gen_tokens": 128}
    benchmark = parse_benchmark(
        {"model": "meta-llama/Llama-3-8b-instruct", "runtimes": ["vllm", "transformers"], "workloads": [spec]}
    )
    assert str(benchmark.models[0]) == "meta-llama/Llama-3-8b-instruct"
    assert [str(runtime) for runtime in benchmark.runtimes] == ["vllm", "transformers"]
    assert benchmark.workloads == (
        Workload(
            name="qa-short",
            arrival=Arrival.POISSON,
            qps=5.0,
            duration_s=180.0,
            prompt_len=Fixed(value=256),
            gen_tokens=Fixed(value=128),
        ),
    )


@pytest.mark.parametrize(
    ("keys", "arrival"),
    [
        ({"qps": 1, "requests": 5}, Arrival.POISSON),
        ({"concurrency": 4, "requests": 5}, Arrival.CONCURRENCY),
        ({"trace": {"path": "t.csv", "format": "azure"}}, Arrival.TRACE),
        ({"arrival": "constant", "qps": 1, "requests": 5}, Arrival.CONSTANT),
        ({"arrival": "gamma", "qps": 1, "requests": 5, "burstiness": 0.5}, Arrival.GAMMA),
        ({"arrival": "ramp", "qps": 0, "ramp_to_qps": 5, "duration_s": 5}, Arrival.RAMP),
    ],
)
def test_the_arrival_follows_from_the_keys(keys: dict[str, object], arrival: Arrival) -> None:
    assert one(**keys).arrival is arrival


@pytest.mark.parametrize(
    ("written", "length"),
    [
        (64, Fixed(value=64)),
        ({"uniform": {"low": 5, "high": 9}}, Uniform(low=5, high=9)),
        ({"normal": {"mean": 9, "std": 2.5, "high": 20}}, Normal(mean=9.0, std=2.5, low=1, high=20)),
        ({"lognormal": {"mean": 9, "cv": 1}}, LogNormal(mean=9.0, cv=1.0)),
        ({"histogram": {"values": [5, 9], "weights": [3, 1]}}, Histogram(values=(5, 9), weights=(3.0, 1.0))),
    ],
)
def test_a_length_is_a_number_or_a_distribution(written: object, length: Length) -> None:
    assert one(qps=1, requests=5, prompt_len=written).prompt_len == length


def test_workload_keys_become_fields_with_their_units() -> None:
    workload = one(qps=1, requests=5, shared_prefix=64, warmup=2, drain_s=3, request_timeout_s=4, temperature=0.5)
    assert workload.shared_prefix_tokens == 64
    assert (workload.warmup_s, workload.drain_s, workload.request_timeout_s) == (2.0, 3.0, 4.0)
    assert workload.temperature == 0.5


def test_a_trace_is_read_with_its_speed_and_limit() -> None:
    workload = one(trace={"path": "t.jsonl", "format": "mooncake", "speed": 2, "limit": 10})
    assert workload.trace == Trace(path="t.jsonl", format=TraceFormat.MOONCAKE, speed=2.0, limit=10)


def test_an_slo_beside_the_workloads_is_for_those_without_their_own() -> None:
    data = body(qps=1, requests=5)
    data["slo"] = {"ttft_ms": 500}
    data["workloads"] = [
        {"name": "a", "qps": 1, "requests": 5},
        {"name": "b", "qps": 1, "requests": 5, "slo": {"tpot_ms": 9, "attainment": 0.5}},
    ]
    first, second = parse_benchmark(data).workloads
    assert first.slo == Slo(ttft_ms=500.0)
    assert second.slo == Slo(tpot_ms=9.0, attainment=0.5)


def test_keys_of_the_whole_benchmark_are_read() -> None:
    more = {
        "seed": 3, "trials": 5, "order": "sequential", "quant": "bf16", "max_model_len": 512, "price_per_hour": 2,
        "resources": {"gpu": 1, "gpu_type": "H100", "cpu": 2, "memory": "8Gi"},
        "engine_args": {"sim": {"a": [1, None, {"b": True}]}},
    }  # fmt: skip
    benchmark = parse_benchmark({**body(qps=1, requests=5), **more})
    assert (benchmark.seed, benchmark.trials, benchmark.order) == (3, 5, Order.SEQUENTIAL)
    assert (benchmark.quant, benchmark.max_model_len, benchmark.price_per_hour) == (Quant.BF16, 512, 2.0)
    assert benchmark.resources == Resources(gpu=1, gpu_type="H100", cpu=2.0, memory_bytes=8 * 2**30)
    assert benchmark.engine_args == {"sim": {"a": [1, None, {"b": True}]}}


@pytest.mark.parametrize(
    ("written", "n_bytes"), [("512Mi", 512 * 2**20), ("1.5Gi", 3 * 2**29), ("2G", 2 * 10**9), (4096, 4096)]
)
def test_memory_is_written_with_a_unit_or_in_bytes(written: object, n_bytes: int) -> None:
    data = {**body(qps=1, requests=5), "resources": {"memory": written}}
    assert parse_benchmark(data).resources.memory_bytes == n_bytes


def test_one_runtime_needs_no_list_and_may_have_a_version() -> None:
    data = {**body(qps=1, requests=5), "runtimes": "vllm@0.32.0"}
    assert parse_benchmark(data).runtimes == (RuntimeRef(name="vllm", version="0.32.0"),)


def test_several_models_may_be_named() -> None:
    data = body(qps=1, requests=5)
    del data["model"]
    data["models"] = ["synthetic:tiny", "./folder"]
    assert [str(model) for model in parse_benchmark(data).models] == ["synthetic:tiny", "./folder"]


def test_null_is_the_same_as_absent() -> None:
    assert one(qps=1, requests=5, prompt_len=None, slo=None, warmup=None) == one(qps=1, requests=5)


def test_the_source_is_named_in_the_message() -> None:
    with pytest.raises(InvalidInput, match=r"^x\.yaml has 3 faults"):
        parse_benchmark({}, source="x.yaml")
