"""How much a trial asked of the hardware, in numbers that know no model: tokens per second, batch, lengths.

Decoding is what follows a request's first token; prefill is its prompt without what came from the prefix cache. A
request is in the batch from its send to its end, so time in a queue makes the batch look larger and the run farther
from its limit than it was: shares are never overstated by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.document import RunFacts
from tokenforge.analysis.requests import Floats
from tokenforge.analysis.throughput import Window
from tokenforge.analysis.trials import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLoad:
    """One trial, per second of its window.

    `context` is the mean length that a decoded token attended to, `least_context` the same without cached tokens.
    `prompts_per_s`, `fresh_per_s` (prompt tokens that were computed) and `squares_per_s` (the sum of tokens squared
    less cached squared) are None where prompts share text and the server does not tell what it had cached.
    """

    decoded_per_s: float
    batch: float
    context: float
    least_context: float
    prompts_per_s: float | None
    fresh_per_s: float | None
    squares_per_s: float | None


def trial_loads(run: RunFacts, trials: Sequence[Trial]) -> Sequence[TrialLoad]:
    """The loads of the trials that have one: those that made tokens whose counts are known."""
    loads = (trial_load(trial, is_shared=run.workload.has_shared_prompts) for trial in trials)
    return [load for load in loads if load is not None]


def trial_load(trial: Trial, *, is_shared: bool) -> TrialLoad | None:
    """The load of one trial; `is_shared`: the workload's prompts share text on purpose."""
    requests, window = trial.requests, trial.window
    known = trial.counted & ~np.isnan(requests.prompt_tokens)
    batch, output = trial.rates.mean_in_flight, trial.rates.output_tokens_per_s
    if not bool(known.any()) or not batch or output is None or window.length_s <= 0:
        return None
    firsts = float(((requests.first_ns >= window.start_ns) & (requests.first_ns <= window.end_ns)).sum())
    prompts = requests.prompt_tokens[known]
    cached = np.nan_to_num(requests.cached_tokens[known])
    made = requests.tokens_delivered[known]
    context = _weighted(prompts + made / 2, made)
    shares = _window_share(requests.sent_ns, requests.first_ns, window)[known] / window.length_s
    told = not is_shared or not bool(np.isnan(requests.cached_tokens[known]).all())
    return TrialLoad(
        decoded_per_s=max(0.0, output - firsts / window.length_s),
        batch=batch,
        context=context,
        least_context=_weighted(prompts - cached + made / 2, made),
        prompts_per_s=float(shares.sum()) if told else None,
        fresh_per_s=float((shares * (prompts - cached)).sum()) if told else None,
        squares_per_s=float((shares * (prompts**2 - cached**2)).sum()) if told else None,
    )


def _weighted(values: Floats, weights: Floats) -> float:
    total = float(weights.sum())
    return float((values * weights).sum()) / total if total > 0 else float(values.mean())


def _window_share(start_ns: Floats, end_ns: Floats, window: Window) -> Floats:
    """The part of each span that lies in the window; 0 where a stamp is missing."""
    overlap = np.clip(np.minimum(end_ns, window.end_ns) - np.maximum(start_ns, window.start_ns), 0, None)
    span = end_ns - start_ns
    share: Floats = np.divide(overlap, span, out=np.zeros(len(span)), where=span > 0)
    return share
