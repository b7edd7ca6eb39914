"""Control and its executor live and end together."""

import asyncio
from dataclasses import dataclass, field

import pytest

from tokenforge.cli.processes import work_together


@dataclass
class Worker:
    """Notes when it ended; `fails` is what it raises at once."""

    name: str
    ended: list[str]
    fails: Exception | None = None
    is_running: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        self.is_running.set()
        if self.fails is not None:
            raise self.fails
        try:
            await stop.wait()
        finally:
            self.ended.append(self.name)


async def test_what_runs_is_closed_before_the_lease_is_given_back() -> None:
    ended: list[str] = []
    stop = asyncio.Event()
    control, executor = Worker("control", ended), Worker("executor", ended)
    both = asyncio.create_task(work_together(control, executor, stop))
    await asyncio.gather(control.is_running.wait(), executor.is_running.wait())
    stop.set()
    await both
    assert ended == ["executor", "control"]


@pytest.mark.parametrize("broken", ["control", "executor"])
async def test_an_unforeseen_error_in_one_ends_both(broken: str) -> None:
    ended: list[str] = []
    fault = RuntimeError("unforeseen")
    control = Worker("control", ended, fault if broken == "control" else None)
    executor = Worker("executor", ended, fault if broken == "executor" else None)
    with pytest.raises(ExceptionGroup) as raised:
        await work_together(control, executor, asyncio.Event())
    assert raised.value.exceptions == (fault,)
    assert broken not in ended
    assert len(ended) == 1
