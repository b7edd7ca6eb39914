"""Doubts about time: a run that had not settled, and a start that was left out without being asked to."""

from collections.abc import Iterator

from tokenforge.analysis.figures import Reason, reason
from tokenforge.analysis.steadiness import State, Steadiness
from tokenforge.analysis.validity_codes import Level


def doubt_steadiness(steadiness: Steadiness, *, trials: int) -> Iterator[Reason]:
    """Was the run one state, and what was left out of it?"""
    if steadiness.warmup_by == "default":
        yield reason(
            "default_warmup",
            Level.NOTE,
            f"The workload names no warm-up, so the first {steadiness.warmup_s:.3g} s of each trial do not count.",
            warmup_s=steadiness.warmup_s,
        )
    if steadiness.state is not State.NOT_STEADY:
        return
    series = {"TTFT": steadiness.ttft, "Output tokens/s": steadiness.output_tokens_per_s}
    unsteady = {name: one for name, one in series.items() if one is not None and not one.is_steady}
    name, worst = max(unsteady.items(), key=lambda item: abs(item[1].change))
    also = "" if len(unsteady) == 1 else f" ({' and '.join(other for other in unsteady if other != name)} too)"
    yield reason(
        "not_steady",
        Level.SUSPECT,
        f"{name} changed by {worst.change:+.0%} from the first half of a trial to the second{also}, in the mean of "
        f"{trials} trial{'s' * (trials > 1)}: the run had not settled, and its means depend on how long it lasted.",
        metric=name,
        change=worst.change,
    )
