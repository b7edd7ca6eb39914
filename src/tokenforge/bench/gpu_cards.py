"""This machine's GPUs as cards that a trial can watch: of each sample only what a record keeps is asked."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tokenforge.bench.gpu_watch import Card, Sample
from tokenforge.telemetry.gpus import Gpu, find_gpus


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCard:
    """One card; `index` is the driver's number of it."""

    index: int
    name: str
    gpu: Gpu

    def read(self) -> Sample | None:
        """What it says now; None when the driver does not answer."""
        at_s, energy_j, power_w = time.monotonic(), self.gpu.energy_j(), self.gpu.power_w()
        memory, utilisation = self.gpu.memory_bytes(), self.gpu.utilization()
        if power_w is None or memory is None or utilisation is None:
            return None
        return Sample(
            at_s=at_s, energy_j=energy_j, power_w=power_w, memory_bytes=memory[0], utilisation=utilisation
        )  # fmt: skip


def find_cards(visible: str | None) -> Sequence[Card]:
    """The cards that `visible` (`CUDA_VISIBLE_DEVICES`, None: all) leaves; none where there is no driver."""
    return [GpuCard(index=gpu.index, name=gpu.name(), gpu=gpu) for gpu in find_gpus(visible)]
