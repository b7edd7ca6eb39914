"""GPUs on a page of metrics, read when it is asked for; what a card does not tell is absent for that card alone."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tokenforge.telemetry.catalogue import accelerator
from tokenforge.telemetry.catalogue.definition import Metric
from tokenforge.telemetry.gpus import MEMORY_CLOCK, SM_CLOCK, Gpu
from tokenforge.telemetry.instruments import family_of


def reasons_in(bits: int) -> frozenset[str]:
    """The names of the clock event reasons that are set."""
    return frozenset(name for place, name in enumerate(accelerator.THROTTLE_REASONS) if bits >> place & 1)


def follow_gpus(registry: CollectorRegistry, gpus: Sequence[Gpu]) -> None:
    """Have these cards on the page."""
    if gpus:
        registry.register(_GpuCollector(gpus))


class _GpuCollector(Collector):
    def __init__(self, gpus: Sequence[Gpu]) -> None:
        self._gpus = gpus

    def describe(self) -> Iterable[Family]:
        """Nothing beforehand: what a card does not tell is absent."""
        return ()

    def collect(self) -> Iterator[Family]:
        """What the cards tell now."""
        known: dict[Metric, dict[tuple[str, ...], float]] = {metric: {} for metric in accelerator.ACCELERATOR}
        for gpu in self._gpus:
            for metric, labels, value in _values(gpu):
                if value is not None:
                    known[metric][str(gpu.index), *labels] = value
        return (family_of(metric, values) for metric, values in known.items() if values)


def _values(gpu: Gpu) -> Iterator[tuple[Metric, tuple[str, ...], float | None]]:
    if (memory := gpu.memory_bytes()) is not None:
        yield accelerator.MEMORY, ("used",), memory[0]
        yield accelerator.MEMORY, ("total",), memory[1]
    yield accelerator.UTILIZATION, (), gpu.utilization()
    yield accelerator.POWER, (), gpu.power_w()
    yield accelerator.ENERGY, (), gpu.energy_j()
    yield accelerator.TEMPERATURE, (), gpu.temperature_c()
    yield accelerator.CLOCK, ("sm",), gpu.clock_hz(SM_CLOCK)
    yield accelerator.CLOCK, ("memory",), gpu.clock_hz(MEMORY_CLOCK)
    if (bits := gpu.throttle_bits()) is not None:
        in_force = reasons_in(bits)
        for reason in accelerator.THROTTLE_REASONS:
            yield accelerator.THROTTLED, (reason,), float(reason in in_force)
