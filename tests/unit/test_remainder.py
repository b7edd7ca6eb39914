"""What is left of a benchmark when some of its runs are cancelled."""

from dataclasses import replace

from tokenforge.control.remainder import remainder, withdrawn
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun
from tokenforge.domain.run import RunStatus
from tokenforge.protocol.withdrawn import RunName, runs_from_json, runs_to_json

BODY = {
    "model": "synthetic:tiny", "runtimes": ["sim", "vllm@0.32.0"], "keep": True, "seed": 7,
    "workloads": [{"name": "a", "qps": 1}, {"name": "b", "qps": 2}],
    "engine_args": {"sim": {"step_ms": 1}, "vllm": {"block_size": 16}},
}  # fmt: skip


def queued(*cancelled: tuple[str, str]) -> QueuedBenchmark:
    """With these (workload, runtime) cancelled."""
    cells = [(workload, runtime) for workload in ("a", "b") for runtime in ("sim", "vllm@0.32.0")]
    runs = [QueuedRun(id="-".join(cell), model="synthetic:tiny", workload=cell[0], runtime=cell[1]) for cell in cells]
    ended = [replace(r, status=RunStatus.CANCELLED) if (r.workload, r.runtime) in cancelled else r for r in runs]
    return QueuedBenchmark(id="b", body=BODY, runs=tuple(ended), created_at="")


def test_without_a_cancelled_run_only_keep_is_left_out() -> None:
    assert remainder(queued()) == {name: value for name, value in BODY.items() if name != "keep"}


def test_a_runtime_of_which_every_run_is_cancelled_is_not_started() -> None:
    left = remainder(queued(("a", "vllm@0.32.0"), ("b", "vllm@0.32.0")))
    assert (left["runtimes"], left["engine_args"]) == (["sim"], {"sim": {"step_ms": 1}})
    assert left["workloads"] == BODY["workloads"]


def test_a_workload_of_which_every_run_is_cancelled_is_not_offered() -> None:
    assert remainder(queued(("a", "sim"), ("a", "vllm@0.32.0")))["workloads"] == [{"name": "b", "qps": 2}]


def test_one_cancelled_run_of_several_stays_in_the_body_and_is_withdrawn_by_name() -> None:
    one = queued(("a", "sim"))
    assert remainder(one) == remainder(queued())
    assert withdrawn(one) == [RunName(model="synthetic:tiny", runtime="sim", workload="a")]


def test_a_withdrawn_run_is_known_with_the_version_that_it_got() -> None:
    (name,) = runs_from_json(runs_to_json(withdrawn(queued(("a", "sim")))).encode())
    assert RunName(model="synthetic:tiny", runtime="sim@0.1.0", workload="a").is_written_as(name)
    assert not RunName(model="synthetic:tiny", runtime="sim@0.1.0", workload="b").is_written_as(name)
