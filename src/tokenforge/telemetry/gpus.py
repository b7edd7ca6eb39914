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
_MIG_ON = 1
"""NVML's numbers of clocks and sensors; they are part of its interface and never change."""

_MHZ = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One card of the driver, or one MIG instance of a card; `index` is the driver's number of the card."""

    index: int
    nvml: Any
    handle: Any
    uuid: str = ""
    is_mig: bool = False

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
    """The cards, or MIG instances, that `visible` (`CUDA_VISIBLE_DEVICES`, None: all cards) names.

    None where there is no driver.
    """
    cards = _cards()
    if visible is None or not cards:
        return cards
    named = [*cards, *(one for card in cards for one in _instances(card))]
    return [named[place] for place in chosen(visible, [gpu.uuid for gpu in named], numbers=len(cards))]


def find_usable(visible: str | None) -> Sequence[Gpu]:
    """The same as an engine can use them: of a card that is partitioned, its MIG instances in its place."""
    return [one for gpu in find_gpus(visible) for one in (_instances(gpu) or [gpu])]


def chosen(visible: str | None, uuids: Sequence[str], *, numbers: int | None = None) -> list[int]:
    """Which of `uuids` `visible` names; the first `numbers` (None: all) have a number too.

    As CUDA reads it, the list ends at the first name that is none.
    """
    numbered = len(uuids) if numbers is None else numbers
    if visible is None:
        return list(range(numbered))
    found: list[int] = []
    for word in (word.strip() for word in visible.split(",")):
        is_number = word.isdigit()
        place = int(word) if is_number else next((n for n, uuid in enumerate(uuids) if uuid.startswith(word)), -1)
        if not word or not 0 <= place < (numbered if is_number else len(uuids)):
            break
        found.append(place)
    return found


def _cards() -> list[Gpu]:
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return []
    with suppress(nvml.NVMLError):
        nvml.nvmlInit()
        return [_gpu(nvml, nvml.nvmlDeviceGetHandleByIndex(index), index) for index in range(nvml.nvmlDeviceGetCount())]
    return []


def _instances(gpu: Gpu) -> list[Gpu]:
    """The MIG instances of a card; none where it is not partitioned, or cannot be."""
    nvml, found = gpu.nvml, []
    with suppress(nvml.NVMLError):
        if gpu.is_mig or nvml.nvmlDeviceGetMigMode(gpu.handle)[0] != _MIG_ON:
            return []
        for place in range(nvml.nvmlDeviceGetMaxMigDeviceCount(gpu.handle)):
            with suppress(nvml.NVMLError):  # a place without an instance
                handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu.handle, place)
                found.append(_gpu(nvml, handle, gpu.index, is_mig=True))
    return found


def _gpu(nvml: Any, handle: Any, index: int, *, is_mig: bool = False) -> Gpu:
    return Gpu(index=index, nvml=nvml, handle=handle, uuid=_text(nvml.nvmlDeviceGetUUID(handle)), is_mig=is_mig)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
