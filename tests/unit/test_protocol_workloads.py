"""Reading steps, conversations, hang-ups, prefixes, traces and datasets: what is accepted, and what is refused."""

import pytest

from tokenforge.domain.durations import (
    Duration,
    ExponentialSeconds,
    FixedSeconds,
    HistogramSeconds,
    LogNormalSeconds,
    NormalSeconds,
    UniformSeconds,
)
from tokenforge.domain.errors import Fault, InvalidInput
from tokenforge.domain.workload import Arrival, Dataset, Fixed, Step, Uniform, Workload
from tokenforge.protocol.benchmark import parse_benchmark
from tokenforge.protocol.benchmark_workload_rules import Formats

RATED = {"qps": 1, "requests": 5}
STEPS = [{"qps": 5, "duration_s": "30s"}, {"qps": 0, "duration_s": 10}, {"qps": 20, "duration_s": "1.5m"}]


def one(**keys: object) -> Workload:
    body = {"model": "synthetic:tiny", "runtimes": ["sim"], "workloads": [{"name": "a", **keys}]}
    return parse_benchmark(body, formats=Formats(traces=("azure", "burstgpt", "weblog"))).workloads[0]


def faults(**keys: object) -> dict[str, Fault]:
    with pytest.raises(InvalidInput) as refused:
        one(**keys)
    found = {fault.field.removeprefix("workloads[0]."): fault for fault in refused.value.faults}
    assert len(found) == len(refused.value.faults)
    return found


def test_steps_are_read_with_their_units_and_say_how_long_the_load_is() -> None:
    workload = one(arrival="step", steps=STEPS)
    assert workload.steps == (
        Step(qps=5.0, duration_s=30.0),
        Step(qps=0.0, duration_s=10.0),
        Step(qps=20.0, duration_s=90.0),
    )
    assert (workload.duration_s, workload.qps) == (130.0, None)


def test_steps_alone_say_the_arrival() -> None:
    assert one(steps=STEPS, requests=100).arrival is Arrival.STEP


@pytest.mark.parametrize(
    ("keys", "field", "message"),
    [
        ({"steps": STEPS, "qps": 3}, "qps", "has no effect with arrival step"),
        ({"steps": STEPS, "duration_s": 9}, "duration_s", "contradicts steps"),
        ({"steps": STEPS, **RATED, "arrival": "poisson"}, "steps", "has no effect with arrival poisson"),
        ({"steps": []}, "steps", "is empty"),
        ({"steps": {}}, "steps", "must be a list"),
        ({"arrival": "step"}, "steps", "is missing: arrival step needs it"),
        ({"steps": [{"qps": 1}]}, "steps[0].duration_s", "is missing"),
        ({"steps": [{"qps": -1, "duration_s": 3}]}, "steps[0].qps", "must be at least 0"),
        ({"steps": [{"qps": 9, "duration_s": "3 days"}]}, "steps[0].duration_s", "is not a time"),
        ({"steps": [{"qps": 9, "duration_s": 0}]}, "steps[0].duration_s", "must be more than 0"),
        ({"steps": [{"qps": 9, "duration": 3, "duration_s": 3}]}, "steps[0].duration", "is not a known key"),
        ({"steps": [{"qps": 0, "duration_s": 9}]}, "steps", "is too short: 0 requests expected"),
        ({"steps": [{"qps": 1000, "duration_s": "1h"}]}, "steps", "makes 3,600,000 requests in a trial"),
        ({"steps": STEPS, "warmup": "3m"}, "warmup", "leaves nothing of steps = 130 s to count"),
        ({**RATED, "turns": 0}, "turns", "must be at least 1"),
        ({**RATED, "turns": "3"}, "turns", "must be a whole number"),
        ({**RATED, "turns": 5000}, "turns", "may come to 5,000 turns"),
        ({**RATED, "turns": {"normal": {"mean": 3, "std": 1}}}, "turns", "may come to inf turns"),
        ({"qps": 1000, "duration_s": 999, "turns": 4}, "duration_s", "makes 3,996,000 requests"),
        ({**RATED, "think_time_s": 2}, "think_time_s", "has no effect without turns"),
        ({**RATED, "turns": 3, "think_time_s": -1}, "think_time_s", "must be at least 0"),
        ({**RATED, "turns": 3, "think_time_s": {}}, "think_time_s", "must be seconds or exactly one distribution"),
        ({**RATED, "turns": 3, "think_time_s": {"exponential": {}}}, "think_time_s.exponential.mean", "is missing"),
        ({**RATED, "cancel_share": 1.5, "cancel_after_s": 1}, "cancel_share", "must be at most 1"),
        ({**RATED, "cancel_share": 0.1}, "cancel_after_s", "is missing: cancel_share needs it"),
        ({**RATED, "cancel_after_s": 0.1}, "cancel_after_s", "has no effect without cancel_share"),
        ({**RATED, "shared_prefix": {"tokens": 9, "groups": 0}}, "shared_prefix.groups", "must be at least 1"),
        ({**RATED, "shared_prefix": {"tokens": 300}}, "shared_prefix", "must be less than the shortest prompt"),
        ({**RATED, "dataset": "x", "turns": 3}, "turns", "contradicts dataset"),
        ({**RATED, "dataset": {"path": "x", "format": "jsnl"}}, "dataset.format", "is not one of jsonl"),
        ({"trace": {"path": "x", "format": "azure"}, "turns": 3}, "turns", "has no effect with arrival trace"),
        ({"trace": {"path": "x", "format": "weblok"}}, "trace.format", "is not one of azure, burstgpt, weblog"),
    ],
)
def test_what_is_refused_is_named_in_one_sentence(keys: dict[str, object], field: str, message: str) -> None:
    (found,) = faults(**keys).items()
    assert found[0] == field
    assert found[1].message.startswith(message)
    assert found[1].hint


def test_a_misspelt_format_names_the_nearest() -> None:
    assert faults(trace={"path": "x", "format": "burstgtp"})["trace.format"].hint == "did you mean burstgpt?"


def test_all_faults_of_a_workload_are_found_at_once() -> None:
    found = faults(steps=[], qps=2, turns=0, cancel_share=1.5, think_time_s="soon", trace={"path": "x", "format": "x"})
    assert set(found) == {"steps", "qps", "turns", "cancel_share", "cancel_after_s", "think_time_s", "trace.format"}


@pytest.mark.parametrize(
    ("written", "duration"),
    [
        (2, FixedSeconds(value=2.0)),
        ("500ms", FixedSeconds(value=0.5)),
        ({"uniform": {"low": 1, "high": "3s"}}, UniformSeconds(low=1.0, high=3.0)),
        ({"exponential": {"mean": 2}}, ExponentialSeconds(mean=2.0)),
        ({"exponential": "2s"}, ExponentialSeconds(mean=2.0)),
        ({"normal": {"mean": 2, "std": 0.5, "high": 5}}, NormalSeconds(mean=2.0, std=0.5, high=5.0)),
        ({"lognormal": {"mean": 2, "cv": 1}}, LogNormalSeconds(mean=2.0, cv=1.0)),
        ({"histogram": {"values": [1, 9], "weights": [3, 1]}}, HistogramSeconds(values=(1.0, 9.0), weights=(3.0, 1.0))),
    ],
)
def test_a_pause_is_seconds_or_a_distribution(written: object, duration: Duration) -> None:
    workload = one(**RATED, turns=3, think_time_s=written, cancel_share=0.1, cancel_after_s=written)
    assert workload.think_time_s == workload.cancel_after_s == duration


def test_turns_are_a_number_or_a_distribution_and_one_turn_is_none() -> None:
    assert one(**RATED, turns=3).turns == Fixed(value=3)
    assert one(**RATED, turns={"uniform": {"low": 1, "high": 5}}).turns == Uniform(low=1, high=5)
    assert one(**RATED, turns=1).turns is None


def test_clients_of_a_closed_loop_may_hold_conversations() -> None:
    workload = one(concurrency=8, requests=60, turns=3, think_time_s=2)
    assert (workload.arrival, workload.concurrency) == (Arrival.CONCURRENCY, 8)


def test_a_shared_prefix_is_tokens_or_tokens_in_groups() -> None:
    plain, grouped = (one(**RATED, shared_prefix=written) for written in (64, {"tokens": 64, "groups": 4}))
    assert (plain.shared_prefix_tokens, plain.shared_prefix_groups) == (64, 1)
    assert (grouped.shared_prefix_tokens, grouped.shared_prefix_groups) == (64, 4)


def test_a_dataset_is_a_file_or_a_file_and_its_format() -> None:
    written = ("x.jsonl", {"path": "x.jsonl"}, {"path": "x.jsonl", "format": "jsonl"})
    assert {one(**RATED, dataset=each).dataset for each in written} == {Dataset(path="x.jsonl")}


def test_a_warm_up_may_have_a_unit() -> None:
    assert one(qps=1, duration_s=60, warmup="5s").warmup_s == 5.0
