"""Did the engine change while it was measured? A mean over a fast and a slow engine is of neither.

Each trial is cut into equal parts, and each part is worth the median TPOT of its requests (TTFT from the send, where
answers have one token). What all trials have in common at the same place (filling up at the start) is taken off. Then
every stretch of parts is held against the rest by Student's t (the statistic of circular binary segmentation, Olshen et
al., 2004, with Bonferroni's bound over the stretches), so a change that stays is found as well as one that goes away.
It must be sure and large. Growth of the queue in every trial alike is over-saturation, not drift; one or two trials
have nothing to be compared with.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from tokenforge.analysis.figures import Level, Reason, reason
from tokenforge.analysis.requests import Floats
from tokenforge.analysis.trials import Trial

_MIN_TRIALS = 3
_PARTS = 4
_MIN_PER_PART = 8
_MIN_STRETCH = 2
_SIGNIFICANCE = 0.01
_LEAST = 0.20
_TINY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """Parts from `start` to before `end`, and the step of their mean against the others."""

    start: int
    end: int
    step: float


def doubt_drift(trials: Sequence[Trial]) -> Iterator[Reason]:
    """A change of pace between trials, for good or for a while."""
    for metric, words in (("tpot", "time per output token"), ("ttft_service", "time to first token")):
        levels = _levels(trials, metric)
        if levels is not None:
            yield from _changed(levels, trials, words)
            return


def _changed(levels: Floats, trials: Sequence[Trial], words: str) -> Iterator[Reason]:
    found = _odd_stretch((levels - np.median(levels, axis=0)).ravel())
    if found is None or abs(found.step) < np.log1p(_LEAST):
        return
    parts = levels.shape[1]
    is_first = found.start == 0
    step, start = (-found.step, found.end) if is_first else (found.step, found.start)
    first, last = trials[start // parts].requests.trial, trials[(found.end - 1) // parts].requests.trial
    when, than = f"From trial {first + 1} on", "before"
    if not is_first and found.end < levels.size:
        when, than = f"In trial {first + 1}" + (f" to {last + 1}" if last > first else ""), "in the others"
    factor = float(np.exp(abs(step)))
    yield reason(
        "drift",
        Level.SUSPECT,
        f"{when} the {words} was {factor:.2f} times {'longer' if step > 0 else 'shorter'} than {than}: the engine, "
        "or the machine under it, changed while it was measured.",
        factor=factor,
        trial=first,
        limit=1 + _LEAST,
    )


def _odd_stretch(values: Floats) -> _Stretch | None:
    """The stretch that differs most surely from the rest; None where none does."""
    count = len(values)
    starts, ends = np.triu_indices(count + 1, k=_MIN_STRETCH)
    inside = ends - starts
    usable = count - inside >= _MIN_STRETCH
    starts, ends, inside = starts[usable], ends[usable], inside[usable]
    if len(starts) == 0 or count < 2 * _MIN_STRETCH + 1:
        return None
    centred = values - values.mean()
    sums = np.concatenate(([0.0], np.cumsum(centred)))
    step = (sums[ends] - sums[starts]) * (1 / inside + 1 / (count - inside))
    left = float((centred**2).sum()) - step**2 * inside * (count - inside) / count
    error = np.sqrt(np.maximum(left, 0.0) / (count - 2) * (1 / inside + 1 / (count - inside))) + _TINY
    best = int(np.argmax(np.abs(step) / error))
    doubt = 2 * (1 - stdtr(count - 2, abs(step[best]) / error[best])) * len(starts)
    if doubt > _SIGNIFICANCE:
        return None
    return _Stretch(start=int(starts[best]), end=int(ends[best]), step=float(step[best]))


def _levels(trials: Sequence[Trial], metric: str) -> Floats | None:
    """Log of the median per part, shape (trials, parts); None where there is too little to say."""
    values = [_in_time(trial, metric) for trial in trials]
    fewest = min((len(one) for one in values), default=0)
    parts = min(_PARTS, fewest // _MIN_PER_PART)
    if len(trials) < _MIN_TRIALS or parts < 1:
        return None
    levels = np.array([[np.median(part) for part in np.array_split(one, parts)] for one in values])
    return np.log(levels) if bool((levels > 0).all()) else None


def _in_time(trial: Trial, metric: str) -> Floats:
    """The metric's values in the order of arrival."""
    values: Floats = getattr(trial.latencies, metric)
    known = np.flatnonzero(~np.isnan(values))
    return values[known[np.argsort(trial.requests.arrival_ns[known], kind="stable")]]
