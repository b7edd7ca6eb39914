"""Free running: greedy answers side by side, where they part, and whether a near-tie explains it; lengths and endings.

Up to the first different token both engines saw the same, so the log-probabilities that either gave at that place tell
how near the two choices were. What comes after has another past and is not compared.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tokenforge.analysis.intervals import CONFIDENCE, t_critical
from tokenforge.analysis.parity_scores import lead_over
from tokenforge.domain.parity import Answer, Endings, FreeRunning, Scores

_STOP = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judges:
    """What near-ties are judged by: each side's scores of the reference's answers, None where it has none."""

    reference: Sequence[Scores] | None
    candidate: Sequence[Scores] | None
    tie_nats: float


def free_running(reference: Sequence[Answer], candidate: Sequence[Answer], judges: Judges) -> FreeRunning:
    """Compare answer by answer."""
    kinds: Counter[str] = Counter()
    places: list[int] = []
    for number, (ours, theirs) in enumerate(zip(reference, candidate, strict=True)):
        place = first_difference(ours, theirs)
        if place is None:
            kinds["exact"] += 1
            continue
        places.append(place)
        kinds[_kind(ours, theirs, place, judges, number=number)] += 1
    return FreeRunning(
        prompts=len(reference),
        exact=kinds["exact"],
        benign=kinds["benign"],
        hard=kinds["hard"],
        unjudged=kinds["unjudged"],
        first_divergence=float(np.median(places)) if places else None,
    )


def first_difference(ours: Answer, theirs: Answer) -> int | None:
    """The place of the first different token, or character where a side has no ids; None when they are equal.

    Some servers leave the end token out of an answer: one token more at a stop on both sides is no difference.
    """
    left: Sequence[object] = ours.text
    right: Sequence[object] = theirs.text
    if ours.ids is not None and theirs.ids is not None:
        left, right = ours.ids, theirs.ids
    shared = min(len(left), len(right))
    for place in range(shared):
        if left[place] != right[place]:
            return place
    both_stopped = ours.finish == theirs.finish == _STOP
    if len(left) == len(right) or (both_stopped and abs(len(left) - len(right)) == 1 and ours.ids and theirs.ids):
        return None
    return shared


def endings(reference: Sequence[Answer], candidate: Sequence[Answer]) -> Endings:
    """Mean lengths and the shares of finish reasons."""
    return Endings(
        reference_tokens=float(np.mean([answer.output_tokens for answer in reference])),
        candidate_tokens=float(np.mean([answer.output_tokens for answer in candidate])),
        reference_finish=_finishes(reference),
        candidate_finish=_finishes(candidate),
    )


def length_excess(reference: Sequence[Answer], candidate: Sequence[Answer]) -> float:
    """By which share of the reference's length the candidate's answers are surely longer or shorter."""
    differences = [b.output_tokens - a.output_tokens for a, b in zip(reference, candidate, strict=True)]
    mean = float(np.mean([answer.output_tokens for answer in reference]))
    return _sure(differences) / max(mean, 1.0)


def finish_excess(reference: Sequence[Answer], candidate: Sequence[Answer]) -> float:
    """By which share of the answers a finish reason surely is more or less frequent."""
    names = {answer.finish for answer in (*reference, *candidate)}
    pairs = list(zip(reference, candidate, strict=True))
    return max(_sure([(b.finish == name) - (a.finish == name) for a, b in pairs]) for name in names)


def _kind(ours: Answer, theirs: Answer, place: int, judges: Judges, *, number: int) -> str:
    if ours.ids is None or theirs.ids is None:
        return "unjudged"
    if place >= min(len(ours.ids), len(theirs.ids)):
        return "hard"
    scores = judges.reference or judges.candidate
    if scores is None or place >= len(scores[number]):
        return "unjudged"
    lead = max(lead_over(scores[number][place], token) for token in (ours.ids[place], theirs.ids[place]))
    return "benign" if lead <= judges.tie_nats else "hard"


def _finishes(answers: Sequence[Answer]) -> Mapping[str, float]:
    counts = Counter(answer.finish or "none" for answer in answers)
    return {name: counts[name] / len(answers) for name in sorted(counts)}


def _sure(differences: Sequence[float]) -> float:
    """The part of a mean of paired differences that chance does not explain: the near end of its interval, or 0."""
    values = np.array(differences, dtype=np.float64)
    mean = abs(float(values.mean()))
    if len(values) < 2:
        return mean
    half = (
        t_critical(confidence=CONFIDENCE, freedom=len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    )
    return max(0.0, mean - half)
