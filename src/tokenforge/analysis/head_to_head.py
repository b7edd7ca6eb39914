"""The verdict of a comparison: one metric, stated beforehand, decides; a run that can't be believed has no winner.

Many metrics would each have their own chance of a false "better"; so the others are shown and decide nothing. Validity
goes first, then parity of the outputs (a runtime that changed them cannot win), then the interval of the metric.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenforge.analysis.compare import Verdict
from tokenforge.analysis.comparisons import Measured
from tokenforge.analysis.document import ComparisonFacts, RunFacts
from tokenforge.analysis.figures import Level, Reason, RunSummary, Validity, reason
from tokenforge.analysis.head_to_head_words import said, verdict_sentence
from tokenforge.analysis.quad_metric import QuadMetric, measure_quads, other_metrics
from tokenforge.domain.comparison import Restart
from tokenforge.domain.parity import ParityVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityNote:
    """What a check of B's outputs against A's found, as the verdict needs it; the whole result is in the record."""

    verdict: ParityVerdict
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadToHead:
    """B judged against A. `verdict` is the answer, `sentence` says it; `primary` is the metric that decided.

    `reasons` are doubts about the comparison as a whole; those of each run are in its own summary. `quads` were asked.
    """

    a: str
    b: str
    model: str
    workload: str
    validity: Validity
    validity_sentence: str
    verdict: Verdict
    sentence: str
    primary: QuadMetric
    secondary: tuple[QuadMetric, ...]
    parity: ParityNote | None
    reasons: tuple[Reason, ...]
    delta: float
    quads: int
    restart: str
    starts: tuple[int, int]


def judge_comparison(
    measured: Sequence[Measured], spec: ComparisonFacts, *, parity: ParityNote | None = None
) -> HeadToHead | None:
    """The verdict over the first two runs, A and B; None where there are not two."""
    if len(measured) < 2:
        return None
    a, b = measured[0], measured[1]
    left, right = (a.facts, a.summary), (b.facts, b.summary)
    is_open = a.summary.loop == "open"
    primary = measure_quads(spec.metric, left, right, delta=spec.delta)
    others = other_metrics(spec.metric, is_open=is_open)
    reasons = tuple(_doubts(a.facts, b.facts, spec))
    validity = _worst([a.summary.verdict, b.summary.verdict, *map(_weight, reasons)])
    verdict = _verdict(primary, validity, parity)
    return HeadToHead(
        a=a.summary.runtime,
        b=b.summary.runtime,
        model=a.summary.model,
        workload=a.summary.workload,
        validity=validity,
        validity_sentence=_trust([a.summary, b.summary], reasons, validity),
        verdict=verdict,
        sentence=verdict_sentence(
            primary, verdict, names=(said(a.summary), said(b.summary)), delta=spec.delta,
            barred=_bar(validity, primary, parity),
        ),
        primary=primary,
        secondary=tuple(measure_quads(name, left, right, delta=spec.delta) for name in others),
        parity=parity,
        reasons=reasons,
        delta=spec.delta,
        quads=spec.quads,
        restart=spec.restart,
        starts=(_starts(a.facts), _starts(b.facts)),
    )  # fmt: skip


def _verdict(primary: QuadMetric, validity: Validity, parity: ParityNote | None) -> Verdict:
    if _bar(validity, primary, parity) is not None or primary.verdict is Verdict.OFFERED:
        return Verdict.INCONCLUSIVE
    return primary.verdict


def _bar(validity: Validity, primary: QuadMetric, parity: ParityNote | None) -> str | None:
    """Why there is no winner whatever the numbers say."""
    if validity is Validity.INVALID:
        return "the measurement is not valid"
    has_failed = parity is not None and parity.verdict is ParityVerdict.FAIL
    if parity is not None and has_failed and primary.verdict in {Verdict.BETTER, Verdict.EQUIVALENT}:
        return f"the outputs differ. {parity.sentence}"
    return None


def _doubts(a: RunFacts, b: RunFacts, spec: ComparisonFacts) -> Iterator[Reason]:
    plans = {trial.trial: trial.plan_digest for trial in a.trials}
    others = [one.trial for one in b.trials if plans.get(one.trial, one.plan_digest) != one.plan_digest]
    if others:
        yield reason(
            "plans_differ",
            Level.INVALID,
            f"In {len(others)} trials the two sides did not get the same prompts and schedule.",
            trials=len(others),
        )
    if spec.urls:
        yield reason(
            "server_not_ours",
            Level.NOTE,
            f"{'Both sides are servers' if spec.urls == 2 else 'One side is a server'} that already ran: it was not "
            "restarted, and nobody knows what else it did.",
            urls=spec.urls,
        )
    elif spec.restart == Restart.NEVER:
        yield reason(
            "never_restarted",
            Level.NOTE,
            "Each engine was started once, so what a start does to its speed is not in the interval.",
        )


def _trust(runs: Sequence[RunSummary], reasons: Sequence[Reason], validity: Validity) -> str:
    """Why it may or may not be believed: the gravest reason, and how many more there are."""
    level = {Validity.INVALID: Level.INVALID, Validity.SUSPECT: Level.SUSPECT}.get(validity)
    if level is None:
        return "Every check passed."
    found = [(f"{said(run)}: ", one) for run in runs for one in run.reasons] + [("", one) for one in reasons]
    where, first = next((who, one) for who, one in found if one.level is level)
    codes = {one.code for _, one in found if one.level is not Level.NOTE}
    shared = all(any(one.code == first.code for one in run.reasons) for run in runs)
    more = f" ({len(codes) - 1} more below.)" if len(codes) > 1 else ""
    return f"{'' if shared else where}{first.sentence}{more}"


def _weight(one: Reason) -> Validity:
    return {Level.INVALID: Validity.INVALID, Level.SUSPECT: Validity.SUSPECT}.get(one.level, Validity.VALID)


def _worst(verdicts: Sequence[Validity]) -> Validity:
    order = (Validity.VALID, Validity.SUSPECT, Validity.INVALID)
    return max(verdicts, key=order.index)


def _starts(run: RunFacts) -> int:
    return len({trial.engine_start for trial in run.trials})
