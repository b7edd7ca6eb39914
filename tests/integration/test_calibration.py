"""The calibration pass with the real driver and a real null server: an honest one passes, a lying one is found out."""

import asyncio
import sys
import time
from pathlib import Path

import pytest
from own_children import children_with
from record_samples import Engine, sample

from tokenforge.analysis.figures import Validity
from tokenforge.analysis.summary import summarise
from tokenforge.bench.calibration.calibrate import NULL_SERVER, Subject, calibrate
from tokenforge.bench.calibration.load import Load
from tokenforge.bench.driver.job import Endpoint
from tokenforge.domain.calibration import Calibration
from tokenforge.domain.canonical import to_plain

LYING = (sys.executable, str(Path(__file__).parent / "lying_null_server.py"))
LOOSE_MS = 5.0
"""A bound that a busy two-core machine keeps; how exact it is otherwise is the benchmark's matter."""


def subject(name: str = "qa", *, concurrency: int | None = None, endpoint: Endpoint = Endpoint.COMPLETIONS) -> Subject:
    """40 requests/s, or clients, with 10 tokens every 5 ms."""
    at_ns = () if concurrency is not None else tuple(range(0, 3_000_000_000, 25_000_000))
    load = Load(at_ns=at_ns, concurrency=concurrency, ttft_s=0.02, itl_s=0.005, chunks=10, prompt_tokens=16)
    return Subject(workload=name, load=load, endpoint=endpoint, continuous_usage=True, processes=1)


async def one(subject: Subject, folder: Path, *, null_server: tuple[str, ...] = NULL_SERVER) -> Calibration:
    (found,) = await calibrate([subject], folder=folder, null_server=null_server)
    return found


@pytest.mark.parametrize(
    "asked", [subject(), subject(endpoint=Endpoint.CHAT), subject(concurrency=4)], ids=["open", "chat", "closed"]
)
async def test_an_honest_null_server_finds_the_driver_s_small_error(asked: Subject, tmp_path: Path) -> None:
    found = await one(asked, tmp_path)
    assert found.cause is None
    assert found.ttft_error is not None
    assert found.itl_error is not None
    assert found.requests >= 40
    assert -0.1 < found.ttft_error.p50_ms < 1
    assert max(found.ttft_error.p99_ms, found.itl_error.p99_ms) < LOOSE_MS
    assert found.kernel_stamps
    assert (found.lag_p50_ms is None) == (asked.load is not None and asked.load.concurrency is not None)


async def test_a_null_server_that_lies_by_20_ms_is_found_out(tmp_path: Path) -> None:
    found = await one(subject(), tmp_path, null_server=LYING)
    assert found.ttft_error is not None
    assert found.ttft_error.p50_ms == pytest.approx(20, abs=LOOSE_MS)
    assert found.itl_error is not None
    assert found.itl_error.p50_ms == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize(("null_server", "wrong"), [(NULL_SERVER, False), (LYING, True)], ids=["honest", "lying"])
async def test_a_run_is_invalid_when_the_truth_and_the_client_differ_by_20_ms(
    null_server: tuple[str, ...], wrong: bool, tmp_path: Path
) -> None:
    found = to_plain(await one(subject("qa-short"), tmp_path, null_server=null_server))
    document, table = sample([Engine(runtime="vllm")])
    (run,) = summarise({**document, "calibration": [found]}, table).runs
    assert {reason.code for reason in run.reasons} == ({"instrument_error"} if wrong else set())
    assert run.verdict is (Validity.INVALID if wrong else Validity.VALID)


async def test_several_driver_processes_are_calibrated_together(tmp_path: Path) -> None:
    asked = subject()
    shared = Subject(workload="qa", load=asked.load, endpoint=asked.endpoint, continuous_usage=False, processes=2)
    found = await one(shared, tmp_path)
    assert (found.cause, found.processes) == (None, 2)


@pytest.mark.parametrize("command", [("/bin/false",), ("/nonexistent/python",)])
async def test_a_null_server_that_does_not_start_is_a_reason_not_a_failure(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    found = await one(subject(), tmp_path, null_server=command)
    assert found.cause is not None
    assert found.ttft_error is None


async def test_a_workload_without_answers_says_that_there_is_nothing_to_repeat(tmp_path: Path) -> None:
    empty = Subject(workload="dead", load=None, endpoint=Endpoint.CHAT, continuous_usage=False, processes=1)
    assert "no load to repeat" in ((await one(empty, tmp_path)).cause or "")


async def test_each_workload_takes_less_than_three_seconds_and_none_is_left_out(tmp_path: Path) -> None:
    began = time.monotonic()
    found = await calibrate([subject("a"), subject("b")], folder=tmp_path)
    assert time.monotonic() - began < 6
    assert [(one.workload, one.cause) for one in found] == [("a", None), ("b", None)]


async def test_what_does_not_fit_the_budget_says_so(tmp_path: Path) -> None:
    first, second = await calibrate([subject("a"), subject("b")], folder=tmp_path, budget_s=1.0)
    assert first.cause is None
    assert second.cause == "the 1 s for calibration were used by other workloads"


async def test_being_interrupted_leaves_no_process_and_says_so(tmp_path: Path) -> None:
    task = asyncio.create_task(calibrate([subject("a"), subject("b")], folder=tmp_path))
    await asyncio.sleep(0.8)
    task.cancel()
    found = await task
    assert [one.cause for one in found] == ["it was interrupted"] * 2
    assert children_with("tokenforge.bench") == []
