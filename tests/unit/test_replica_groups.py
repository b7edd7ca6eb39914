"""Which pod of a group a process is: told by the environment that a LeaderWorkerSet sets, and by nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from tokenforge.cli.replica import follow, worker_spec_of
from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.model import parse_model
from tokenforge.domain.runtime import parse_runtime
from tokenforge.domain.worker import Group, ReplicaSpec
from tokenforge.models.resolve import resolve_model
from tokenforge.protocol.worker_spec import (
    replica_spec_from_json,
    replica_spec_to_json,
    worker_spec_from_json,
    worker_spec_to_json,
)
from tokenforge.settings import Settings, read_settings

MODEL = parse_model("synthetic:tiny")
SPEC = ReplicaSpec(
    model=MODEL, runtime=parse_runtime("vllm"), port=8000, nodes=2, tensor_parallel=8, pipeline_parallel=2
)
LWS = {"LWS_LEADER_ADDRESS": "llama-0.llama.space", "LWS_WORKER_INDEX": "1"}


def settings(home: Path, **more: str) -> Settings:
    made = read_settings({"TOKENFORGE_HOME": str(home), **more})
    resolve_model(MODEL, home=made.home, offline=True)
    return made


def test_a_pod_of_a_group_knows_its_number_and_its_leader(tmp_path: Path) -> None:
    worker = worker_spec_of(SPEC, settings(tmp_path, **LWS), name="w")
    assert worker.runtime.group == Group(nodes=2, rank=1, leader="llama-0.llama.space", pipeline_parallel=2)
    assert worker_spec_from_json(worker_spec_to_json(worker)) == worker
    assert replica_spec_from_json(replica_spec_to_json(SPEC)) == SPEC


def test_a_pod_that_stands_alone_is_in_no_group_whatever_is_set(tmp_path: Path) -> None:
    assert worker_spec_of(replace(SPEC, nodes=1), settings(tmp_path, **LWS), name="w").runtime.group is None


@pytest.mark.parametrize("said", [{}, {"LWS_WORKER_INDEX": "1"}, {**LWS, "LWS_WORKER_INDEX": "one"}])
def test_without_that_environment_it_is_told_what_is_missing(tmp_path: Path, said: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=r"LWS_LEADER_ADDRESS and LWS_WORKER_INDEX .*do not say which pod"):
        worker_spec_of(SPEC, settings(tmp_path, **said), name="w")


def test_a_runtime_of_one_node_follows_nobody() -> None:
    with pytest.raises(InvalidInput, match="runs on one node"):
        follow(replica_spec_to_json(replace(SPEC, runtime=parse_runtime("sim"))))
