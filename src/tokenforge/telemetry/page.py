"""The page that Prometheus reads: our metrics, this process's own, and those of an engine's own library.

One process has one page. prometheus-client's files for several processes are not used: what a killed process leaves in
them would be counted for ever.
"""

from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tokenforge.telemetry.catalogue.engine import BUILD_INFO
from tokenforge.telemetry.instruments import GaugeOf
from tokenforge.telemetry.loop_metrics import LoopTasks

FOREIGN_PREFIXES = ("vllm:",)
"""Names of an engine's own metrics, passed on as they are."""


def new_registry(version: str) -> CollectorRegistry:
    """A registry of this process: CPU, memory, descriptors, start, tasks, and which TokenForge it is."""
    disable_created_metrics()  # type: ignore[no-untyped-call]  # they would double the series of every counter
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GaugeOf(BUILD_INFO, registry).set(1.0, version)
    registry.register(LoopTasks())
    return registry


def read_page(registry: CollectorRegistry) -> bytes:
    """The page as text."""
    return generate_latest(registry)


class Foreign(Collector):
    """What an engine's library has in prometheus-client's registry of its own process."""

    def __init__(self, source: CollectorRegistry = REGISTRY) -> None:
        self._source = source

    def describe(self) -> Iterable[Family]:
        """Nothing beforehand: the engine comes later."""
        return ()

    def collect(self) -> Iterable[Family]:
        """Families by their names; of others nothing."""
        return (family for family in self._source.collect() if family.name.startswith(FOREIGN_PREFIXES))


def pass_on_foreign(registry: CollectorRegistry) -> None:
    """Have the engine's own metrics on the page too."""
    registry.register(Foreign())
