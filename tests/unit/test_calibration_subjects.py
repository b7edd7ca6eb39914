"""What of a finished benchmark is calibrated for: each workload once, the heaviest first, as it was sent."""

from dataclasses import replace
from pathlib import Path

from calibration_samples import answers, record_of
from record_samples import MS
from test_journal import written

from tokenforge.bench.calibration.subjects import subjects_of
from tokenforge.bench.driver.job import Endpoint
from tokenforge.bench.run_log import RunLog
from tokenforge.bench.targets import Target
from tokenforge.bench.trial_records import read_trial
from tokenforge.domain.plan import PromptForm
from tokenforge.domain.workload import Arrival, Workload


def log(
    folder: Path, name: str, *, runtime: str = "a", every_ms: int = 100, clients: int | None = None, count: int = 20
) -> RunLog:
    """A run whose answers of 8 chunks were due `every_ms`, or came from `clients`."""
    target = Target(
        model="m", served_name="m", runtime=runtime, url="http://x", window=None, tokenizer=None, form=PromptForm.TEXT,
        exact_output=True, continuous_usage=runtime == "a", engine=None, headers={}, packages={},
    )  # fmt: skip
    arrival = Arrival.POISSON if clients is None else Arrival.CONCURRENCY
    run = RunLog(target=target, workload=Workload(name=name, arrival=arrival, concurrency=clients, qps=1.0))
    due = (None if clients else answer.prompt * every_ms * MS for answer in answers(count))
    records = [replace(record_of(answer), scheduled_ns=at) for answer, at in zip(answers(count), due, strict=True)]
    written(folder / f"{name}-{runtime}", *records)
    run.recorded.append(read_trial([folder / f"{name}-{runtime}"], trial=0))
    return run


def test_a_workload_that_several_runtimes_served_is_one_subject(tmp_path: Path) -> None:
    (subject,) = subjects_of([log(tmp_path, "w", runtime="a"), log(tmp_path, "w", runtime="b")], endpoint=Endpoint.CHAT)
    assert (subject.workload, subject.endpoint, subject.continuous_usage) == ("w", Endpoint.CHAT, True)
    assert subject.load is not None
    assert (subject.load.chunks, len(subject.load.at_ns)) == (8, 20)


def test_the_heaviest_load_comes_first(tmp_path: Path) -> None:
    logs = [
        log(tmp_path, "slow", every_ms=500),
        log(tmp_path, "fast", every_ms=10),
        log(tmp_path, "clients", clients=64),
    ]
    assert [s.workload for s in subjects_of(logs, endpoint=Endpoint.CHAT)] == ["clients", "fast", "slow"]


def test_a_closed_loop_keeps_its_clients_and_a_silent_one_has_no_load(tmp_path: Path) -> None:
    busy, silent = subjects_of(
        [log(tmp_path, "w", clients=3), log(tmp_path, "none", clients=3, count=0)], endpoint=Endpoint.CHAT
    )
    assert busy.load is not None
    assert (busy.load.concurrency, silent.load, silent.processes) == (3, None, 1)
