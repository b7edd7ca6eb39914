"""Two runtimes on the same plan, paired trial by trial: how many times better, how sure, and what would settle it.

Pairs have the same prompts and arrivals and run next to each other, so what disturbs the machine hits both, and the
ratio of a pair is steadier than either number. Ratios are averaged as logarithms. A difference that is certain and
yet too small to matter is called equivalent, not better.
"""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.intervals import CONFIDENCE, MIN_TRIALS, t_critical
from tokenforge.analysis.power import EQUIVALENCE_CONFIDENCE, pairs_to_decide

DELTA = 0.05


class Verdict(enum.StrEnum):
    """What a comparison says of the candidate. `offered`: the load set the number, so it compares nothing."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"
    OFFERED = "offered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """The ratio candidate / baseline over paired trials (or quads), with its 95 % interval where there is one.

    `inner_low` and `inner_high` are the 90 % interval that equivalence is read from; `spread` is the standard deviation
    of the log ratios. `trials_needed` is how many pairs would decide with 80 % power, if they were like these.
    """

    ratio: float | None
    low: float | None
    high: float | None
    trials: int
    verdict: Verdict
    trials_needed: int | None
    note: str | None = None
    inner_low: float | None = None
    inner_high: float | None = None
    spread: float | None = None


def compare_paired(
    baseline: Mapping[int, float], candidate: Mapping[int, float], *, higher_is_better: bool, delta: float = DELTA
) -> Paired:
    """Compare by trial number; trials that only one side has, or that are not above zero, are left out."""
    shared = sorted(t for t in baseline.keys() & candidate.keys() if baseline[t] > 0 and candidate[t] > 0)
    if not shared:
        return _without_interval(None, trials=0, note="no trial that both have")
    ratios = [candidate[t] / baseline[t] for t in shared]
    return compare_ratios(ratios, higher_is_better=higher_is_better, delta=delta)


def compare_ratios(
    ratios: Sequence[float], *, higher_is_better: bool, delta: float = DELTA, unit: str = "paired trials"
) -> Paired:
    """The same from the ratios themselves (at least one, all above zero); `unit` is what they are ratios of."""
    logs = np.log(np.asarray(ratios, dtype=np.float64))
    mean, count = float(logs.mean()), len(logs)
    if count < MIN_TRIALS:
        note = f"an interval needs {MIN_TRIALS} {unit}, {count} ran"
        return _without_interval(math.exp(mean), trials=count, note=note)
    spread = float(logs.std(ddof=1))
    half = t_critical(confidence=CONFIDENCE, freedom=count - 1) * spread / math.sqrt(count)
    inner = t_critical(confidence=EQUIVALENCE_CONFIDENCE, freedom=count - 1) * spread / math.sqrt(count)
    margin = math.log1p(delta)
    verdict = _verdict(mean, half=half, narrow=inner, margin=margin, higher_is_better=higher_is_better)
    undecided = verdict is Verdict.INCONCLUSIVE
    return Paired(
        ratio=math.exp(mean),
        low=math.exp(mean - half),
        high=math.exp(mean + half),
        trials=count,
        verdict=verdict,
        trials_needed=max(count + 1, pairs_to_decide(mean=mean, spread=spread, margin=margin)) if undecided else None,
        inner_low=math.exp(mean - inner),
        inner_high=math.exp(mean + inner),
        spread=spread,
    )


def _verdict(mean: float, *, half: float, narrow: float, margin: float, higher_is_better: bool) -> Verdict:
    if abs(mean) + narrow < margin:
        return Verdict.EQUIVALENT
    if abs(mean) > half:
        return Verdict.BETTER if (mean > 0) == higher_is_better else Verdict.WORSE
    return Verdict.INCONCLUSIVE


def _without_interval(ratio: float | None, *, trials: int, note: str) -> Paired:
    return Paired(
        ratio=ratio,
        low=None,
        high=None,
        trials=trials,
        verdict=Verdict.INCONCLUSIVE,
        trials_needed=MIN_TRIALS,
        note=note,
    )
