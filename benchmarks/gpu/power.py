"""What the first GPU drew, from NVML: its energy counter, and its power integrated, which must agree."""

import contextlib
import threading
import time
from bisect import bisect_left
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Any

_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Sample:
    """At a time (Unix seconds): energy since the driver was loaded, power, memory in use."""

    at_s: float
    energy_j: float
    power_w: float
    memory_bytes: int


class Meter:
    """Samples in a thread while it is open; without NVML it has none."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Meter":
        with contextlib.suppress(ImportError):
            import pynvml

            self._thread = threading.Thread(target=self._run, args=(pynvml,), daemon=True)
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def between(self, began_s: float, ended_s: float) -> dict[str, float] | None:
        """Joules by the counter and by the integral of power, and the most memory; None with too few samples."""
        return summed(self._samples, began_s, ended_s)

    def _run(self, nvml: Any) -> None:
        try:
            nvml.nvmlInit()
            card = nvml.nvmlDeviceGetHandleByIndex(0)
            while not self._stop.wait(_EVERY_S):
                self._samples.append(
                    Sample(
                        time.time(),
                        nvml.nvmlDeviceGetTotalEnergyConsumption(card) / 1e3,
                        nvml.nvmlDeviceGetPowerUsage(card) / 1e3,
                        int(nvml.nvmlDeviceGetMemoryInfo(card).used),
                    )
                )
        except nvml.NVMLError:
            return


def summed(samples: list[Sample], began_s: float, ended_s: float) -> dict[str, float] | None:
    """See `Meter.between`. The counter is read between samples in a straight line."""
    inside = [sample for sample in samples if began_s <= sample.at_s <= ended_s]
    if len(inside) < 3:
        return None
    steps = list(pairwise(inside))
    integral = sum((b.at_s - a.at_s) * (a.power_w + b.power_w) / 2 for a, b in steps)
    covered = inside[-1].at_s - inside[0].at_s
    return {
        "counter_j": _energy_at(samples, ended_s) - _energy_at(samples, began_s),
        "integral_j": integral * (ended_s - began_s) / covered,
        "memory_bytes": float(max(sample.memory_bytes for sample in inside)),
    }


def _energy_at(samples: list[Sample], at_s: float) -> float:
    place = bisect_left([sample.at_s for sample in samples], at_s)
    after, before = samples[min(place, len(samples) - 1)], samples[max(place - 1, 0)]
    if after.at_s == before.at_s:
        return after.energy_j
    share = min(max((at_s - before.at_s) / (after.at_s - before.at_s), 0.0), 1.0)
    return before.energy_j + share * (after.energy_j - before.energy_j)
