"""The sentence of a comparison's verdict, in plain words: what B is against A, by how much, how sure."""

from tokenforge.analysis.compare import Verdict
from tokenforge.analysis.figures import RunSummary
from tokenforge.analysis.power import MOST
from tokenforge.analysis.quad_metric import QuadMetric

_FACTOR_FROM = 2.0


def said(run: RunSummary) -> str:
    """A run's name in a sentence: a simulator is never mentioned without saying so."""
    return f"{run.runtime} (simulated)" if run.simulated else run.runtime


def verdict_sentence(
    primary: QuadMetric, verdict: Verdict, *, names: tuple[str, str], delta: float, barred: str | None
) -> str:
    """One sentence. `barred` says why there is no winner whatever the numbers say."""
    a, b = names
    if barred is not None:
        return f"No winner: {barred.rstrip('.')}."
    if primary.ratio is None or primary.verdict is Verdict.OFFERED:
        return f"Not decided: {b} and {a} cannot be compared in {primary.label}: {primary.note}."
    claim = _claim(primary.ratio, primary.label, a)
    if verdict is Verdict.BETTER:
        return f"{b} is better: {claim}, {_evidence(primary)}."
    if verdict is Verdict.WORSE:
        return f"{b} is worse: {claim}, {_evidence(primary)}."
    if verdict is Verdict.EQUIVALENT:
        inner = _range(primary.inner_low, primary.inner_high)
        return (
            f"{b} is equivalent to {a} in {primary.label}: the difference is surely within {100 * delta:g} % "
            f"(90 % interval {inner}, {len(primary.quads)} quads)."
        )
    return f"Not decided: {b} had {claim}, but {_missing(primary)}."


def is_factor(ratio: float) -> bool:
    """Whether a ratio is told as a factor, because a change in percent would mislead."""
    return not 1 / _FACTOR_FROM < ratio < _FACTOR_FROM


def _claim(ratio: float, label: str, a: str) -> str:
    """`8.1 % higher mean TTFT than A`; from twice on, or half, as a factor: `2.99 times the output throughput of A`."""
    if is_factor(ratio):
        return f"{ratio:.2f} times the {label} of {a}"
    return f"{abs(100 * (ratio - 1)):.1f} % {'higher' if ratio >= 1 else 'lower'} {label} than {a}"


def _missing(primary: QuadMetric) -> str:
    if primary.note is not None:
        return primary.note
    needed = primary.quads_needed
    if needed is None or needed >= MOST:
        told = "no number of quads that could be run would tell (the difference is close to the margin)"
    else:
        told = f"about {needed} quads would tell"
    return f"that is not certain ({_evidence(primary)}); {told}"


def _evidence(primary: QuadMetric) -> str:
    as_factor = primary.ratio is not None and is_factor(primary.ratio)
    return f"95 % interval {_range(primary.low, primary.high, as_factor=as_factor)}, {len(primary.quads)} quads"


def _range(low: float | None, high: float | None, *, as_factor: bool = False) -> str:
    """Both ends in the words of the claim: as changes in percent or as factors."""
    ends = [end for end in (low, high) if end is not None]
    return " to ".join(f"{end:.2f}" if as_factor else f"{100 * (end - 1):+.1f} %" for end in ends)
