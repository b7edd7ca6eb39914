"""GPUs as NVIDIA's driver tells of them, read when the page is asked for. Read only: nothing is ever set.

Without the driver's library, or without a driver, there are no GPUs and none of their metrics; what one card does not
tell is absent for that card alone.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from tokenforge.telemetry.catalogue import accelerator
from tokenforge.telemetry.catalogue.definition import Metric
from tokenforge.telemetry.instruments import family_of

_MHZ = 1e6
_SM_CLOCK, _MEMORY_CLOCK, _GPU_SENSOR = 1, 2, 0
"""NVML's numbers of clocks and sensors; they are part of its interface and never change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuState:
    """One GPU now; None is what it does not tell. `throttled` are the names of reasons in force."""

    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    utilization: float | None = None
    power_w: float | None = None
    energy_j: float | None = None
    temperature_c: float | None = None
    sm_clock_hz: float | None = None
    memory_clock_hz: float | None = None
    throttled: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One card of the driver; `index` is the driver's number of it."""

    index: int
    nvml: Any
    handle: Any

    def read(self) -> GpuState:
        """What it tells now."""
        nvml, handle = self.nvml, self.handle
        memory = self._ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
        rates = self._ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
        reasons = self._ask(lambda: int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)))
        return GpuState(
            memory_used_bytes=None if memory is None else int(memory.used),
            memory_total_bytes=None if memory is None else int(memory.total),
            utilization=None if rates is None else float(rates.gpu) / 100,
            power_w=self._scaled(lambda: nvml.nvmlDeviceGetPowerUsage(handle), 1e-3),
            energy_j=self._scaled(lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle), 1e-3),
            temperature_c=self._scaled(lambda: nvml.nvmlDeviceGetTemperature(handle, _GPU_SENSOR), 1.0),
            sm_clock_hz=self._scaled(lambda: nvml.nvmlDeviceGetClockInfo(handle, _SM_CLOCK), _MHZ),
            memory_clock_hz=self._scaled(lambda: nvml.nvmlDeviceGetClockInfo(handle, _MEMORY_CLOCK), _MHZ),
            throttled=None if reasons is None else reasons_in(reasons),
        )

    def _ask(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except self.nvml.NVMLError:
            return None

    def _scaled(self, ask: Callable[[], Any], scale: float) -> float | None:
        told = self._ask(ask)
        return None if told is None else float(told) * scale


def reasons_in(bits: int) -> frozenset[str]:
    """The names of the clock event reasons that are set."""
    return frozenset(name for place, name in enumerate(accelerator.THROTTLE_REASONS) if bits >> place & 1)


def find_gpus(visible: str | None) -> Sequence[Gpu]:
    """The cards that `visible` (`CUDA_VISIBLE_DEVICES`, None: all) leaves; none where there is no driver."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return ()
    with suppress(nvml.NVMLError):
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        uuids = [_text(nvml.nvmlDeviceGetUUID(handle)) for handle in handles]
        return [Gpu(index=index, nvml=nvml, handle=handles[index]) for index in chosen(visible, uuids)]
    return ()


def chosen(visible: str | None, uuids: Sequence[str]) -> list[int]:
    """Which cards `visible` names. As CUDA reads it, the list ends at the first name that is no card."""
    if visible is None:
        return list(range(len(uuids)))
    found: list[int] = []
    for word in (word.strip() for word in visible.split(",")):
        place = int(word) if word.isdigit() else next((n for n, uuid in enumerate(uuids) if uuid.startswith(word)), -1)
        if not word or not 0 <= place < len(uuids):
            break
        found.append(place)
    return found


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
            for metric, labels, value in _values(gpu.read()):
                if value is not None:
                    known[metric][str(gpu.index), *labels] = value
        return (family_of(metric, values) for metric, values in known.items() if values)


def _values(state: GpuState) -> Iterator[tuple[Metric, tuple[str, ...], float | None]]:
    yield accelerator.MEMORY, ("used",), state.memory_used_bytes
    yield accelerator.MEMORY, ("total",), state.memory_total_bytes
    yield accelerator.UTILIZATION, (), state.utilization
    yield accelerator.POWER, (), state.power_w
    yield accelerator.ENERGY, (), state.energy_j
    yield accelerator.TEMPERATURE, (), state.temperature_c
    yield accelerator.CLOCK, ("sm",), state.sm_clock_hz
    yield accelerator.CLOCK, ("memory",), state.memory_clock_hz
    if state.throttled is not None:
        for reason in accelerator.THROTTLE_REASONS:
            yield accelerator.THROTTLED, (reason,), float(reason in state.throttled)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
