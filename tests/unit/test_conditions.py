"""Why a worker is gone, in one word for programs and a sentence for people."""

from dataclasses import replace
from pathlib import Path

import pytest

from tokenforge.cluster.base import Sighting
from tokenforge.cluster.local_oom import oom_kills
from tokenforge.control.conditions import worker_trouble
from tokenforge.protocol.worker_spec import WorkerPhase

DEAD = Sighting(
    name="w", labels={}, phase=WorkerPhase.LOADING, is_alive=False, launched_at_s=0.0, ending="was killed by SIGKILL",
    last_words=("loading weights",),
)  # fmt: skip


def test_a_worker_that_the_kernel_killed_for_memory_is_named_so() -> None:
    trouble = worker_trouble(replace(DEAD, oom_kills=1), had_served=False)
    assert (trouble.reason, trouble.last_words) == ("OutOfMemory", ("loading weights",))
    assert "was killed by SIGKILL: memory ran out" in trouble.message


def test_a_worker_that_somebody_killed_is_not_called_out_of_memory() -> None:
    trouble = worker_trouble(DEAD, had_served=True)
    assert trouble.reason == "WorkerDied"
    assert "somebody sent it" in trouble.message


def test_an_engine_whose_own_process_was_killed_for_memory_is_named_so() -> None:
    seen = replace(DEAD, ending="exited with status 1", code="engine_dead", cause="the vLLM engine died", oom_kills=1)
    assert worker_trouble(seen, had_served=True).reason == "OutOfMemory"
    assert worker_trouble(replace(seen, oom_kills=0), had_served=True).reason == "EngineDied"


def test_an_engine_that_says_itself_that_memory_ran_out_is_believed() -> None:
    seen = replace(DEAD, ending="exited with status 1", code="engine_error", cause="CUDA out of memory")
    assert worker_trouble(seen, had_served=False).reason == "OutOfMemory"


def test_a_bad_argument_is_no_want_of_memory_whatever_the_kernel_killed_meanwhile() -> None:
    seen = replace(DEAD, ending="exited with status 1", code="invalid_input", cause="no such option", oom_kills=3)
    assert worker_trouble(seen, had_served=False).reason == "InvalidSpec"


@pytest.mark.parametrize(("text", "count"), [("oom_kill 12\nswap_ra 1\n", 12), ("pgfault 5\n", 0), ("", 0)])
def test_the_kernels_count_is_read(tmp_path: Path, text: str, count: int) -> None:
    (tmp_path / "vmstat").write_text(text)
    assert oom_kills(tmp_path / "vmstat") == count
    assert oom_kills(tmp_path / "nowhere") == 0
