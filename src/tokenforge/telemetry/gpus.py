"""GPUs as NVIDIA's driver tells of them: the one reader of its library. Read only: no clock, limit or mode is ever set.

Without the driver's library, or without a driver, there are no GPUs; what one card does not tell is None for that card
alone. Each reading is a question of its own, so that who watches closely asks for no more than it wants.
"""

import importlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

SM_CLOCK, MEMORY_CLOCK = 1, 2
_GPU_SENSOR = 0
"""NVML's numbers of clocks and sensors; they are part of its interface and never change."""

_MHZ = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One card of the driver; `index` is the driver's number of it."""

    index: int
    nvml: Any
    handle: Any

    def name(self) -> str:
        """What the driver calls it."""
        told = self._ask(lambda: self.nvml.nvmlDeviceGetName(self.handle))
        return f"GPU {self.index}" if told is None else _text(told)

    def memory_bytes(self) -> tuple[int, int] | None:
        """In use, and all of it."""
        told = self._ask(lambda: self.nvml.nvmlDeviceGetMemoryInfo(self.handle))
        return None if told is None else (int(told.used), int(told.total))

    def utilization(self) -> float | None:
        """Share of the last moments in which something ran on it."""
        told = self._ask(lambda: self.nvml.nvmlDeviceGetUtilizationRates(self.handle))
        return None if told is None else float(told.gpu) / 100

    def power_w(self) -> float | None:
        """Power that it draws."""
        return self._scaled(lambda: self.nvml.nvmlDeviceGetPowerUsage(self.handle), 1e-3)

    def energy_j(self) -> float | None:
        """Energy since its driver was loaded."""
        return self._scaled(lambda: self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle), 1e-3)

    def temperature_c(self) -> float | None:
        """Temperature of the chip."""
        return self._scaled(lambda: self.nvml.nvmlDeviceGetTemperature(self.handle, _GPU_SENSOR), 1.0)

    def clock_hz(self, clock: int) -> float | None:
        """`SM_CLOCK` or `MEMORY_CLOCK`."""
        return self._scaled(lambda: self.nvml.nvmlDeviceGetClockInfo(self.handle, clock), _MHZ)

    def throttle_bits(self) -> int | None:
        """NVML's clock event reasons, a bit each."""
        told = self._ask(lambda: self.nvml.nvmlDeviceGetCurrentClocksThrottleReasons(self.handle))
        return None if told is None else int(told)

    def _ask(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except self.nvml.NVMLError:
            return None

    def _scaled(self, ask: Callable[[], Any], scale: float) -> float | None:
        told = self._ask(ask)
        return None if told is None else float(told) * scale


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


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
