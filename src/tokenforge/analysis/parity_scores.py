"""Teacher forcing: two engines' log-probabilities for the same tokens after the same tokens, place by place.

Only the top alternatives are known, so divergences are taken on those that both lists hold, with all the rest as one
tail: a lower bound of the whole, and alike for both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tokenforge.domain.generation import TokenLogprob
from tokenforge.domain.parity import Scores, TeacherForced

_LEAST = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """One token of one answer, seen by both."""

    same_choice: bool
    is_clear: bool
    dlogprob: float
    kl: float
    from_chance: float
    above_chance: float


def teacher_forced(
    reference: Sequence[Scores], candidate: Sequence[Scores], *, vocab_size: int, clear_nats: float
) -> TeacherForced | None:
    """The measures over all places that both scored with alternatives; None when there is no such place."""
    places = [
        _place(ours, theirs, vocab_size=vocab_size, clear_nats=clear_nats)
        for ours_all, theirs_all in zip(reference, candidate, strict=True)
        for ours, theirs in zip(ours_all, theirs_all, strict=True)
        if ours.top and theirs.top and math.isfinite(ours.logprob) and math.isfinite(theirs.logprob)
    ]
    if not places:
        return None
    kl = _mean([place.kl for place in places])
    return TeacherForced(
        tokens=len(places),
        top1_agreement=_mean([place.same_choice for place in places]),
        clear_disagreement=_mean([place.is_clear for place in places]),
        mean_abs_dlogprob=_mean([place.dlogprob for place in places]),
        kl_nats=kl,
        kl_share=kl / max(_mean([place.from_chance for place in places]), _LEAST),
        spread_nats=_mean([place.above_chance for place in places]),
    )


def spread(scores: Sequence[Scores], *, vocab_size: int) -> float | None:
    """How far the first choice stands above chance, in nats, on average."""
    tops = [row.top[0][1] for answer in scores for row in answer if row.top]
    return _mean(tops) + math.log(vocab_size) if tops else None


def mean_abs_dlogprob(reference: Sequence[Scores], candidate: Sequence[Scores]) -> float:
    """The mean difference of the given tokens' log-probabilities, in nats; 0 for nothing."""
    pairs = [
        abs(ours.logprob - theirs.logprob)
        for ours_all, theirs_all in zip(reference, candidate, strict=True)
        for ours, theirs in zip(ours_all, theirs_all, strict=True)
        if math.isfinite(ours.logprob) and math.isfinite(theirs.logprob)
    ]
    return _mean(pairs) if pairs else 0.0


def lead_over(row: TokenLogprob, token_id: int) -> float:
    """How much likelier the first choice of `row` is than the token; infinite when it is not among the alternatives."""
    known = dict(row.top)
    return row.top[0][1] - known[token_id] if row.top and token_id in known else math.inf


def _place(ours: TokenLogprob, theirs: TokenLogprob, *, vocab_size: int, clear_nats: float) -> _Place:
    best, other_best = ours.top[0][0], theirs.top[0][0]
    known, other_known = dict(ours.top), dict(theirs.top)
    both = [token for token in known if token in other_known]
    p = _partition([known[token] for token in both])
    q = _partition([other_known[token] for token in both])
    chance = np.array([1 / vocab_size] * len(both) + [max(vocab_size - len(both), 1) / vocab_size])
    return _Place(
        same_choice=best == other_best,
        is_clear=best != other_best and lead_over(ours, other_best) > clear_nats,
        dlogprob=abs(ours.logprob - theirs.logprob),
        kl=float((p * np.log(p / q)).sum()),
        from_chance=float((p * np.log(p / chance)).sum()),
        above_chance=ours.top[0][1] + math.log(vocab_size),
    )


def _partition(logprobs: Sequence[float]) -> NDArray[np.float64]:
    """Probabilities of the named tokens and of all the rest; they sum to 1."""
    named = np.maximum(np.exp(np.array(logprobs, dtype=np.float64)), _LEAST)
    whole = np.append(named, max(1.0 - float(named.sum()), _LEAST))
    return np.asarray(whole / whole.sum(), dtype=np.float64)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
