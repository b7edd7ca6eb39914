"""What differs between two runs, and what that means."""

import copy

import pytest
from record_samples import Engine, sample

from tokenforge.analysis.likeness import Recorded, Sort, differences, hardware_differences

Path = tuple[str | int, ...]


def record() -> dict[str, object]:
    document, _ = sample([Engine(runtime="vllm@0.32.0")], trials=2)
    document["benchmark"]["engine_args"] = {"vllm": {"max_num_seqs": 64}}  # type: ignore[index]
    return document


def changed(path: Path, value: object) -> list[tuple[Sort, str]]:
    """What is found after one value of a record changed."""
    before, after = record(), copy.deepcopy(record())
    place: object = after
    for step in path[:-1]:
        place = place[step]  # type: ignore[index]
    place[path[-1]] = value  # type: ignore[index]
    left, right = (
        Recorded(document=one, entry=one["runs"][0])  # type: ignore[index]
        for one in (before, after)
    )
    return [(one.sort, str(one)) for one in differences(left, right)]


def test_a_run_is_like_itself() -> None:
    assert changed(("id",), "another") == []


@pytest.mark.parametrize(
    ("path", "value", "sort", "words"),
    [
        (("endpoint",), "chat", Sort.MEASURED, "endpoint: completions -> chat"),
        (("benchmark", "workloads", 0, "requests"), 7, Sort.MEASURED, "workload.requests: 120 -> 7"),
        (
            ("runs", 0, "trials", 1, "plan_digest"), "ab" * 32, Sort.MEASURED,
            "plan of trial 1: 010101010101 -> abababababab",
        ),
        (
            ("environment", "models", 0, "hashes", "config.json"), "01" * 32, Sort.MEASURED,
            "model file config.json: efefefefefef -> 010101010101",
        ),
        (("environment", "machine", "cpu_threads"), 4, Sort.HARDWARE, "CPU threads: 8 -> 4"),
        (("environment", "machine", "memory_bytes"), 2**36, Sort.HARDWARE, "memory: 16 GiB -> 64 GiB"),
        (("environment", "limits", "cpu"), "50000 100000", Sort.HARDWARE, "CPU limit: max 100000 -> 50000 100000"),
        (
            ("environment", "gpus"), [{"name": "H100", "power.limit": "700 W"}], Sort.HARDWARE,
            "GPUs: none -> H100 at 700 W",
        ),
        (("runs", 0, "engine", "engine_version"), "2.0", Sort.SOFTWARE, "engine version: 1.2.3 -> 2.0"),
        (("runs", 0, "engine", "packages", "torch"), "3", Sort.SOFTWARE, "package torch: 2.13.0+cpu -> 3"),
        (("runs", 0, "engine", "packages", "new"), "1", Sort.SOFTWARE, "package new: none -> 1"),
        (("benchmark", "engine_args", "vllm"), {}, Sort.SOFTWARE, "engine_args.vllm.max_num_seqs: 64 -> none"),
        (("tool", "git"), "d00d", Sort.SOFTWARE, "tool commit: c8183e4 -> d00d"),
    ],
)  # fmt: skip
def test_a_difference_has_its_sort_and_both_values(path: Path, value: object, sort: Sort, words: str) -> None:
    assert changed(path, value) == [(sort, words)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("environment", "machine"), {}),
        (("environment", "models"), []),
        (("runs", 0, "engine"), None),
        (("benchmark", "workloads"), []),
        (("environment", "machine", "memory_bytes"), 16 * 2**30 + 4096),
    ],
)
def test_what_one_record_does_not_say_is_no_difference(path: Path, value: object) -> None:
    assert changed(path, value) == []


def test_two_machines_are_compared_by_themselves() -> None:
    here, there = record(), copy.deepcopy(record())
    there["environment"]["machine"]["cpu_model"] = "A" * 100  # type: ignore[index]
    (found,) = hardware_differences(here, there)
    assert found.after == "A" * 57 + "..."
