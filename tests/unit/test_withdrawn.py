"""A run that is cancelled while its benchmark goes on."""

import asyncio
from pathlib import Path

import pytest

from tokenforge.bench.withdrawn import NOTHING_WITHDRAWN, Withdrawn
from tokenforge.protocol.withdrawn import RunName, runs_to_json

RUN = RunName(model="m", runtime="sim@1", workload="w")


async def done() -> None:
    """Work that is over at once."""


async def test_work_of_a_run_that_is_wanted_is_done() -> None:
    assert await NOTHING_WITHDRAWN.unless(RUN, done())


async def test_work_of_a_withdrawn_run_is_cancelled_and_has_ended(tmp_path: Path) -> None:
    withdrawn = Withdrawn(tmp_path / "withdrawn.json")
    ended = asyncio.Event()

    async def work() -> None:
        (tmp_path / "withdrawn.json").write_text(runs_to_json([RunName(model="m", runtime="sim", workload="w")]))
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    assert not await withdrawn.unless(RUN, work())
    assert ended.is_set()
    assert withdrawn.holds(RUN)


async def test_a_failure_of_the_work_is_raised() -> None:
    async def work() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await NOTHING_WITHDRAWN.unless(RUN, work())


async def test_cancelling_the_benchmark_cancels_the_work() -> None:
    began = asyncio.Event()

    async def work() -> None:
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(NOTHING_WITHDRAWN.unless(RUN, work()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"model": "m"}]'])
def test_a_file_that_cannot_be_read_withdraws_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "withdrawn.json").write_text(text)
    assert not Withdrawn(tmp_path / "withdrawn.json").holds(RUN)
