"""The worker spec, announcements and runtime info as JSON."""

import json

import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.generation import Capabilities, RuntimeInfo
from tokenforge.domain.runtime import Accelerator, Quant
from tokenforge.domain.worker import RuntimeSpec, WorkerSpec
from tokenforge.protocol.worker_spec import (
    Announcement,
    WorkerPhase,
    announcement_from_line,
    announcement_to_line,
    can_step,
    runtime_info_from_plain,
    runtime_info_to_plain,
    worker_spec_from_json,
    worker_spec_to_json,
)

RUNTIME = RuntimeSpec(
    runtime="sim",
    model_path="/m",
    served_name="m",
    accelerator=Accelerator.CUDA,
    max_model_len=9,
    quant=Quant.FP8,
    engine_args={"a": [1, {"b": None}]},
)
SPEC = WorkerSpec(name="w", runtime=RUNTIME, port=5, drain_s=1.0)
INFO = RuntimeInfo(
    runtime="sim",
    engine="sim",
    engine_version="1",
    model="m",
    max_model_len=9,
    capabilities=Capabilities(seed=True),
    details={"a": "b"},
)


def faults_of(change: dict[str, object]) -> list[str]:
    body = {**json.loads(worker_spec_to_json(SPEC)), **change}
    with pytest.raises(InvalidInput) as caught:
        worker_spec_from_json(json.dumps(body))
    return [fault.field for fault in caught.value.faults]


def test_a_spec_comes_back_as_it_was() -> None:
    assert worker_spec_from_json(worker_spec_to_json(SPEC)) == SPEC


def test_runtime_info_comes_back_as_it_was() -> None:
    assert runtime_info_from_plain(runtime_info_to_plain(INFO)) == INFO


def test_an_announcement_is_one_line_and_comes_back() -> None:
    news = Announcement(port=1, phase=WorkerPhase.READY, cause="a\nb", info=INFO)
    line = announcement_to_line(news)
    assert line.count(b"\n") == 1
    assert announcement_from_line(line) == news


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"nope": 1}, "nope"),
        ({"port": "5"}, "port"),
        ({"port": True}, "port"),
        ({"name": None}, "name"),
        ({"drain_s": "x"}, "drain_s"),
        ({"runtime": 5}, "runtime"),
        ({"runtime": {**json.loads(worker_spec_to_json(SPEC))["runtime"], "quant": "fp7"}}, "runtime.quant"),
        ({"runtime": {**json.loads(worker_spec_to_json(SPEC))["runtime"], "engine_args": []}}, "runtime.engine_args"),
    ],
)
def test_a_wrong_field_is_named_with_its_path(change: dict[str, object], field: str) -> None:
    assert faults_of(change) == [field]


def test_all_missing_fields_are_told() -> None:
    assert faults_of({"runtime": {}}) == ["runtime.runtime", "runtime.model_path", "runtime.served_name"]


@pytest.mark.parametrize("text", ["", "[]", "5", "{"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        worker_spec_from_json(text)


def test_a_whole_number_of_seconds_is_a_float() -> None:
    body = {**json.loads(worker_spec_to_json(SPEC)), "drain_s": 2}
    assert worker_spec_from_json(json.dumps(body)).drain_s == 2.0


def test_a_failed_worker_takes_no_further_step() -> None:
    assert not any(can_step(WorkerPhase.FAILED, phase) for phase in WorkerPhase)


def test_a_draining_worker_is_never_ready_again() -> None:
    assert not can_step(WorkerPhase.DRAINING, WorkerPhase.READY)
