"""What the GPUs of a run drew for each token, and what they held: from the readings of its trials.

Energy is that of the whole trial, filling and draining too, over every output token of it, warm-up and failures
included: all of them were paid for. All cards that the engine could see count. It is told from the cards' own counters
where all have one, else from their power; where the two differ, that is said.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tokenforge.analysis.figures import Level, Reason, reason
from tokenforge.analysis.gpu_figures import EnergyUse, GpuFacts
from tokenforge.analysis.intervals import over_trials
from tokenforge.analysis.trials import Trial

_APART = 0.05


def energy_use(trials: Sequence[Trial]) -> EnergyUse | None:
    """None where no trial has a reading."""
    measured = [(trial, trial.facts.gpus) for trial in trials if trial.facts is not None and trial.facts.gpus]
    if not measured:
        return None
    cards = [card for _, gpus in measured for card in gpus]
    has_counters = all(card.counter_j is not None for card in cards)
    integral = sum(card.integral_j for card in cards)
    counted = sum(card.counter_j or 0.0 for card in cards)
    return EnergyUse(
        gpus=max(len(gpus) for _, gpus in measured),
        by="counter" if has_counters else "power",
        joules_per_token=over_trials([_per_token(trial, gpus, has_counters) for trial, gpus in measured]),
        watts=over_trials([_watts(gpus, has_counters) for _, gpus in measured]),
        utilisation=sum(card.utilisation for card in cards) / len(cards),
        memory_peak_bytes=max(card.memory_peak_bytes for card in cards),
        counter_over_integral=counted / integral if has_counters and integral > 0 else None,
    )


def doubt_energy(use: EnergyUse | None) -> Iterator[Reason]:
    """Do the counters and the power agree?"""
    ratio = None if use is None else use.counter_over_integral
    if ratio is not None and abs(ratio - 1) > _APART:
        yield reason(
            "energy_apart",
            Level.NOTE,
            f"The GPUs' energy counters told {ratio:.3g} times what their power adds up to. The counters are shown: "
            "the power that a driver tells is a mean over the time before, so short trials mislead it.",
            ratio=ratio,
            limit=_APART,
        )


def _per_token(trial: Trial, gpus: Sequence[GpuFacts], has_counters: bool) -> float | None:
    tokens = float(np.nansum(trial.requests.output_tokens))
    return _joules(gpus, has_counters) / tokens if tokens > 0 else None


def _watts(gpus: Sequence[GpuFacts], has_counters: bool) -> float | None:
    seconds = max(card.sampled_s for card in gpus)
    return _joules(gpus, has_counters) / seconds if seconds > 0 else None


def _joules(gpus: Sequence[GpuFacts], has_counters: bool) -> float:
    return sum((card.counter_j or 0.0) if has_counters else card.integral_j for card in gpus)
