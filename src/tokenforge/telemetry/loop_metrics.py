"""How many tasks an event loop has: what a server forgot to end shows here before it shows in memory."""

import asyncio
from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tokenforge.telemetry.catalogue.engine import EVENT_LOOP_TASKS
from tokenforge.telemetry.instruments import family_of


class LoopTasks(Collector):
    """Counts the tasks of the loop that reads the page; outside of a loop the value is absent."""

    def describe(self) -> Iterable[Family]:
        """Nothing beforehand: what is unknown is absent."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Tasks that have not ended."""
        try:
            tasks = len(asyncio.all_tasks())
        except RuntimeError:
            return
        yield family_of(EVENT_LOOP_TASKS, {(): float(tasks)})
