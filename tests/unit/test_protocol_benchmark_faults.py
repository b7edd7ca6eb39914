"""Reading a benchmark: what is refused, and in which words."""

import contextlib
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.protocol.benchmark import parse_benchmark
from tokenforge.protocol.benchmark_body import WorkloadBody

GOOD: Mapping[str, object] = {"name": "a", "qps": 1, "requests": 5}


def body(**top: object) -> dict[str, object]:
    return {"model": "synthetic:tiny", "runtimes": ["sim"], "workloads": [GOOD], **top}


def faults(data: Mapping[str, object]) -> dict[str, Fault]:
    with pytest.raises(InvalidInput) as refused:
        parse_benchmark(data)
    assert len({fault.field for fault in refused.value.faults}) == len(refused.value.faults)
    return {fault.field: fault for fault in refused.value.faults}


def workload_faults(**keys: object) -> dict[str, Fault]:
    return faults(body(workloads=[{**GOOD, **keys}]))


def the_fault(**keys: object) -> Fault:
    (fault,) = workload_faults(**keys).values()
    return fault


@pytest.mark.parametrize(
    ("keys", "field", "message"),
    [
        ({"qps": -1}, "qps", "must be more than 0"),
        ({"qps": 0}, "qps", "must be more than 0"),
        ({"qps": "5"}, "qps", "must be a number"),
        ({"qps": True}, "qps", "must be a number"),
        ({"qps": float("nan")}, "qps", "must be a finite number"),
        ({"requests": 1.5}, "requests", "must be a whole number"),
        ({"requests": 0}, "requests", "must be at least 1"),
        ({"duration_s": 0}, "duration_s", "must be more than 0"),
        ({"duration_s": float("inf")}, "duration_s", "must be a finite number"),
        ({"name": "A b"}, "name", "is not a name"),
        ({"temperature": 3}, "temperature", "must be at most 2"),
        ({"gen_tokens": []}, "gen_tokens", "must be a whole number"),
        ({"prompt_len": 0}, "prompt_len", "must be at least 1"),
        ({"prompt_len": {}}, "prompt_len", "must be a number or exactly one distribution"),
        ({"prompt_len": {"uniform": {"low": 9, "high": 3}}}, "prompt_len.uniform.low", "is above high = 3"),
        ({"prompt_len": {"normal": {"mean": 9}}}, "prompt_len.normal.std", "is missing"),
        (
            {"prompt_len": {"histogram": {"values": [1, 2], "weights": [1]}}},
            "prompt_len.histogram.weights",
            "has 1 numbers for 2 values",
        ),
        (
            {"prompt_len": {"histogram": {"values": [1], "weights": [0]}}},
            "prompt_len.histogram.weights",
            "needs one weight above 0",
        ),
        ({"slo": {"attainment": 0.9}}, "slo", "needs at least one of ttft_ms, tpot_ms, e2e_ms"),
    ],
)
def test_a_value_out_of_its_type_or_range_is_named(keys: dict[str, object], field: str, message: str) -> None:
    fault = the_fault(**keys)
    assert (fault.field, fault.message) == (f"workloads[0].{field}", message)


def test_a_number_in_quotes_is_told_to_lose_them() -> None:
    assert the_fault(qps="5").hint == "write 5 without quotes"


@pytest.mark.parametrize(("key", "meant"), [("concurency", "concurrency"), ("qsp", "qps"), ("promt_len", "prompt_len")])
def test_an_unknown_key_names_the_nearest_right_one(key: str, meant: str) -> None:
    fault = the_fault(**{key: 3})
    assert fault.field == f"workloads[0].{key}"
    assert fault.hint == f"did you mean {meant}?"


def test_a_key_at_the_wrong_level_is_sent_to_the_right_one() -> None:
    assert "workloads[0].warmup" in faults(body(warmup=3))["warmup"].hint
    assert "top of the document" in the_fault(seed=3).hint


def test_a_misspelt_arrival_names_the_nearest_and_lists_all() -> None:
    fault = the_fault(arrival="poison")
    assert "'gamma'" in fault.message
    assert fault.hint == "did you mean poisson?"


def test_an_open_loop_needs_a_rate_and_an_end() -> None:
    found = faults(body(workloads=[{"name": "a"}]))
    assert "arrival poisson needs it" in found["workloads[0].qps"].message
    assert "would never end" in found["workloads[0].duration_s"].message


def test_a_closed_loop_needs_an_end() -> None:
    assert set(faults(body(workloads=[{"name": "a", "concurrency": 3}]))) == {"workloads[0].duration_s"}


@pytest.mark.parametrize(
    ("arrival", "missing"),
    [("trace", "trace"), ("concurrency", "concurrency"), ("ramp", "ramp_to_qps"), ("ramp", "duration_s")],
)
def test_each_arrival_needs_its_own_key(arrival: str, missing: str) -> None:
    assert f"workloads[0].{missing}" in workload_faults(arrival=arrival)


def test_a_ramp_may_start_at_nothing_and_no_lower() -> None:
    ramp = {"name": "a", "arrival": "ramp", "ramp_to_qps": 5, "duration_s": 10}
    assert parse_benchmark(body(workloads=[{**ramp, "qps": 0}])).workloads[0].qps == 0
    assert faults(body(workloads=[{**ramp, "qps": -1}]))["workloads[0].qps"].message == "must be at least 0"


@pytest.mark.parametrize(
    ("keys", "idle"),
    [
        ({"burstiness": 0.5}, "burstiness"),
        ({"ramp_to_qps": 9}, "ramp_to_qps"),
        ({"concurrency": 2}, "qps"),
        ({"dataset": "x.jsonl", "prompt_len": 4}, "prompt_len"),
    ],
)
def test_a_key_without_effect_is_refused(keys: dict[str, object], idle: str) -> None:
    assert the_fault(**keys).field == f"workloads[0].{idle}"


def test_lengths_beside_a_trace_are_refused() -> None:
    data = body(workloads=[{"name": "a", "trace": {"path": "x", "format": "azure"}, "prompt_len": 3}])
    assert "contradicts trace" in faults(data)["workloads[0].prompt_len"].message


@pytest.mark.parametrize("length", [64, {"uniform": {"low": 64, "high": 99}}, {"normal": {"mean": 99, "std": 1}}])
def test_a_shared_prefix_must_leave_room_for_the_prompt(length: object) -> None:
    assert the_fault(prompt_len=length, shared_prefix=64).field == "workloads[0].shared_prefix"


def test_a_warm_up_must_leave_something_to_count() -> None:
    assert the_fault(duration_s=10, warmup=10).field == "workloads[0].warmup"


def test_a_load_too_short_or_too_large_to_plan_is_refused() -> None:
    assert "too short" in the_fault(qps=0.01, duration_s=5).message
    assert "2,000,000 requests" in the_fault(requests=2_000_000).message
    both = {"name": "a", "qps": 1000, "duration_s": 5000}
    assert "5,000,000 requests" in faults(body(workloads=[both]))["workloads[0].duration_s"].message


def test_names_of_workloads_are_unique() -> None:
    assert set(faults(body(workloads=[GOOD, GOOD]))) == {"workloads[1].name"}


def test_model_is_needed_once() -> None:
    assert "contradicts model" in faults(body(models=["./a"]))["models"].message
    assert faults({**body(), "model": None})["model"].message == "is missing"


@pytest.mark.parametrize(
    ("top", "field"),
    [
        ({"runtimes": []}, "runtimes"),
        ({"runtimes": "Big!"}, "runtimes"),
        ({"runtimes": ["sim", "Big!"]}, "runtimes[1]"),
        ({"runtimes": ["sim", "sim"]}, "runtimes[1]"),
        ({"runtimes": ["sim", 5]}, "runtimes[1]"),
        ({"model": "a//b"}, "model"),
        ({"workloads": []}, "workloads"),
        ({"workloads": {}}, "workloads"),
        ({"workloads": [5]}, "workloads[0]"),
        ({"resources": {"memory": "8Gx"}}, "resources.memory"),
        ({"resources": {"memory": "Gi"}}, "resources.memory"),
        ({"resources": {"gpu": -1}}, "resources.gpu"),
        ({"seed": -1}, "seed"),
        ({"quant": "fp17"}, "quant"),
        ({"engine_args": {"vllm": {}}}, "engine_args.vllm"),
        ({"engine_args": {"sim": 3}}, "engine_args.sim"),
        ({"engine_args": {"sim": {"x": [float("inf")]}}}, "engine_args.sim.x[0]"),
        ({"engine_args": {"sim": {"x": {1: 2}}}}, "engine_args.sim.x.1"),
        ({"engine_args": {"sim": {"x": b"raw"}}}, "engine_args.sim.x"),
    ],
)
def test_a_fault_carries_the_path_as_the_user_wrote_it(top: dict[str, object], field: str) -> None:
    assert set(faults(body(**top))) == {field}


def test_all_faults_are_found_at_once() -> None:
    found = faults(
        {
            "model": "a//b",
            "runtimes": ["Big!"],
            "wokloads": 1,
            "workloads": [{"name": "a", "qps": -1, "turns": "2"}, {"name": "a", "qps": 1, "requests": "5"}],
        }
    )
    assert set(found) == {
        "model",
        "runtimes[0]",
        "wokloads",
        "workloads[0].qps",
        "workloads[0].turns",
        "workloads[0].duration_s",
        "workloads[1].name",
        "workloads[1].requests",
    }


def test_no_secret_is_repeated_in_a_fault() -> None:
    args = {"openai": {"api_key": "sk-hidden"}}
    for data in (body(engine_args=args), body(engine_arg=args), body(api_key="sk-hidden")):
        with pytest.raises(InvalidInput) as refused:
            parse_benchmark(data)
        assert "sk-hidden" not in str(refused.value)


_LEAVES = st.none() | st.booleans() | st.integers(-2, 3) | st.text(max_size=3)
ANYTHING = st.recursive(_LEAVES, lambda some: st.lists(some, max_size=2) | st.dictionaries(st.text(max_size=3), some))


@given(st.sampled_from([*WorkloadBody.model_fields]), ANYTHING)
def test_a_value_of_any_shape_is_read_or_is_a_fault_and_never_a_crash(key: str, value: object) -> None:
    with contextlib.suppress(InvalidInput):
        parse_benchmark(body(workloads=[{**GOOD, key: value}]))
