"""The GPU table: what a side asks for, and the energy of a trial."""

import argparse
import json

import pytest

from gpu.power import Sample, summed
from gpu.sides import parse_side
from gpu.table import table_text


def test_a_side_names_its_runtime_and_its_arguments() -> None:
    side = parse_side("own=transformers@5.17.0:batching=transformers,page_size=64,at=1+256")
    assert (side.name, side.runtime, side.concurrency) == ("own", "transformers@5.17.0", (1, 256))
    assert side.engine_args == {"batching": "transformers", "page_size": 64}


def test_a_side_without_a_runtime_is_refused() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="NAME=RUNTIME"):
        parse_side("paged")


def test_each_concurrency_is_a_closed_loop_longer_than_its_clients() -> None:
    text = parse_side("v=vllm@0.25.1").benchmark(
        model="m", concurrency=[1, 256], trials=1, prompt_len=512, gen_tokens=128, seconds=1.0, window=2048
    )
    loops = json.loads(text)["workloads"]
    assert [loop["concurrency"] for loop in loops] == [1, 256]
    assert loops[1]["requests"] >= 256 + 128


def test_energy_is_read_between_samples_and_compared_with_the_power() -> None:
    samples = [Sample(at_s=float(t), energy_j=300.0 * t, power_w=300.0, memory_bytes=t) for t in range(11)]
    found = summed(samples, 2.5, 7.5)
    assert found == {"counter_j": 1500.0, "integral_j": 1500.0, "memory_bytes": 7.0}


def test_a_trial_without_samples_has_no_energy() -> None:
    assert summed([], 0.0, 1.0) is None


def test_what_was_not_measured_is_a_dash() -> None:
    assert table_text([{"side": "v", "concurrency": 8}]).splitlines()[-1].startswith("| v | 8 | - | -")
