"""The GPUs of this machine as NVIDIA's driver tells of them. Read only: no clock, limit or mode is ever set.

Without the driver's library there are no cards. Cards are those that `CUDA_VISIBLE_DEVICES` names, by number or by
UUID, as the engine that is measured sees them.
"""

import importlib
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tokenforge.bench.gpu_watch import Card, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmlCard:
    """One card; `index` is the driver's number of it."""

    index: int
    name: str
    nvml: Any
    handle: Any

    def read(self) -> Sample | None:
        """What it says now; None when the driver does not answer."""
        nvml, handle = self.nvml, self.handle
        try:
            return Sample(
                at_s=time.monotonic(),
                energy_j=_or_none(nvml, nvml.nvmlDeviceGetTotalEnergyConsumption, handle, scale=1e-3),
                power_w=float(nvml.nvmlDeviceGetPowerUsage(handle)) / 1e3,
                memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(handle).used),
                utilisation=float(nvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100,
            )
        except nvml.NVMLError:
            return None


def find_cards(visible: str | None) -> Sequence[Card]:
    """The cards that `visible` (`CUDA_VISIBLE_DEVICES`, None: all) leaves; none where there is no driver."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return ()
    with suppress(nvml.NVMLError):
        nvml.nvmlInit()
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        uuids = [_text(nvml.nvmlDeviceGetUUID(handle)) for handle in handles]
        return [
            NvmlCard(index=index, name=_text(nvml.nvmlDeviceGetName(handles[index])), nvml=nvml, handle=handles[index])
            for index in chosen(visible, uuids)
        ]
    return ()


def chosen(visible: str | None, uuids: Sequence[str]) -> list[int]:
    """Which cards `visible` names. As CUDA reads it, the list ends at the first name that is no card."""
    if visible is None:
        return list(range(len(uuids)))
    found: list[int] = []
    for word in (word.strip() for word in visible.split(",")):
        if word.isdigit() and int(word) < len(uuids):
            found.append(int(word))
        elif word and (index := next((i for i, uuid in enumerate(uuids) if uuid.startswith(word)), None)) is not None:
            found.append(index)
        else:
            break
    return found


def _or_none(nvml: Any, ask: Any, handle: Any, *, scale: float) -> float | None:
    """Some cards keep no such counter."""
    try:
        return float(ask(handle)) * scale
    except nvml.NVMLError:
        return None


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
