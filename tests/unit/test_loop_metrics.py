"""Tasks that have not ended are told by whoever reads the page within a loop."""

import asyncio

from prometheus_client import CollectorRegistry

from tokenforge.telemetry.loop_metrics import LoopTasks


def tasks_told() -> float | None:
    registry = CollectorRegistry()
    registry.register(LoopTasks())
    return registry.get_sample_value("tokenforge_event_loop_tasks")


async def test_a_task_counts_until_it_has_ended() -> None:
    before = tasks_told()
    task = asyncio.create_task(asyncio.Event().wait())
    assert before is not None
    assert tasks_told() == before + 1
    task.cancel()
    await asyncio.wait({task})
    assert tasks_told() == before


def test_outside_of_a_loop_nothing_is_told() -> None:
    assert tasks_told() is None
