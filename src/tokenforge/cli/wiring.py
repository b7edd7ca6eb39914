"""The parts, put together: settings in, a Kit for benchmarks out."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from tokenforge import __version__
from tokenforge.bench.environment import detect_accelerator
from tokenforge.bench.metered import MeteredObserver
from tokenforge.bench.observe import Observer
from tokenforge.bench.targets import Kit
from tokenforge.cli.metrics_page import metrics_told
from tokenforge.cluster.local import LocalCluster, reap_orphans
from tokenforge.settings import Settings
from tokenforge.telemetry.benchmark_metrics import BenchmarkMetrics
from tokenforge.telemetry.page import new_registry

Done = TypeVar("Done")


def make_kit(settings: Settings, observer: Observer) -> Kit:
    """A kit for this machine: workers as child processes, leftovers of a killed predecessor ended first."""
    state = settings.home / "workers"
    reap_orphans(state)
    return Kit(
        home=settings.home,
        find_links=settings.find_links,
        extra_indexes=settings.extra_indexes,
        base_env=settings.child_env,
        hub_offline=settings.hub_offline,
        accelerator=detect_accelerator(),
        cluster=LocalCluster(state),
        observer=observer,
        observing=settings.observing,
    )


async def counted(settings: Settings, observer: Observer, work: Callable[[Kit], Awaitable[Done]]) -> Done:
    """What `work` gives with a kit whose trials are counted on the load generator's page of metrics meanwhile."""
    async with metered(settings, observer) as watching:
        return await work(make_kit(settings, watching))


@contextlib.asynccontextmanager
async def metered(settings: Settings, observer: Observer) -> AsyncIterator[Observer]:
    """The observer, with the load generator's page of metrics served while the block lasts, unless metrics are off."""
    if settings.metrics_listen is None:
        yield observer
        return
    metrics = BenchmarkMetrics(new_registry(__version__))
    async with metrics_told(settings, metrics.registry, process="bench"):
        yield MeteredObserver(observer, metrics)
