"""GPUs in figures: what a record says of one card over a trial, and what a run's cards drew and held in all."""

from dataclasses import dataclass

from tokenforge.analysis.intervals import Estimate
from tokenforge.analysis.plain import Plain, mappings, number, whole


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFacts:
    """One card over a trial."""

    sampled_s: float
    counter_j: float | None
    integral_j: float
    memory_peak_bytes: int
    utilisation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyUse:
    """A run's GPUs, all together. `counter_over_integral` compares the two ways to tell energy; None with one alone.

    `by` is `counter` or `power`; `watts` and `utilisation` are means over trials, `memory_peak_bytes` is the most that
    was in use on one card.
    """

    gpus: int
    by: str
    joules_per_token: Estimate
    watts: Estimate
    utilisation: float
    memory_peak_bytes: int
    counter_over_integral: float | None


def read_gpus(trial: Plain) -> tuple[GpuFacts, ...]:
    """The cards of a recorded trial; none in a record of before they were read."""
    return tuple(
        GpuFacts(
            sampled_s=number(item, "sampled_s") or 0.0,
            counter_j=number(item, "counter_j"),
            integral_j=number(item, "integral_j") or 0.0,
            memory_peak_bytes=whole(item, "memory_peak_bytes") or 0,
            utilisation=number(item, "utilisation") or 0.0,
        )
        for item in mappings(trial, "gpus")
    )
