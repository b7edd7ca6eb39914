"""What a comparison's verdict looks like, as ready text for the page, for Markdown and for the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenforge.analysis.head_to_head_words import is_factor
from tokenforge.analysis.plain import Plain, mapping, mappings, number, text
from tokenforge.report.numbers import UNKNOWN, number_text

METRIC_COLUMNS = ("metric", "A", "B", "B against A", "95 % interval")
QUAD_COLUMNS = ("quad", "order", "A", "B", "B against A")
VERDICT_WORDS = {
    "better": "B is better",
    "worse": "B is worse",
    "equivalent": "Equivalent",
    "inconclusive": "Not decided",
}
_PARITY_WORDS = {"PASS": "Outputs agree", "FAIL": "Outputs differ", "NOT MEASURED": "Outputs not judged"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """A metric under METRIC_COLUMNS; the one that decides comes first."""

    cells: tuple[str, ...]
    decides: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictView:
    """Everything said of a comparison. `verdict` is the word for programs, `words` the one for people."""

    a: str
    b: str
    validity: str
    validity_sentence: str
    verdict: str
    words: str
    sentence: str
    decided_by: str
    metrics: tuple[MetricRow, ...]
    quads: tuple[tuple[str, ...], ...]
    noise: tuple[str, ...]
    how: tuple[str, ...]
    parity: str
    parity_sentence: str
    notes: tuple[str, ...]


def verdict_view(summary: Plain) -> VerdictView | None:
    """The view of a summary's `head_to_head`; None where there is none."""
    found = mapping(summary, "head_to_head")
    if not found:
        return None
    primary = mapping(found, "primary")
    others = mappings(found, "secondary")
    parity = mapping(found, "parity")
    verdict = text(found, "verdict") or "inconclusive"
    return VerdictView(
        a=text(found, "a") or "",
        b=text(found, "b") or "",
        validity=text(found, "validity") or "INVALID",
        validity_sentence=text(found, "validity_sentence") or "",
        verdict=verdict,
        words=VERDICT_WORDS.get(verdict, VERDICT_WORDS["inconclusive"]),
        sentence=text(found, "sentence") or "",
        decided_by=f"{text(primary, 'label')} decides, as stated before the first trial",
        metrics=tuple(_metric_row(one, decides=one is primary) for one in (primary, *others)),
        quads=tuple(_quad_row(quad) for quad in mappings(primary, "quads")),
        noise=_noise(primary, delta=number(found, "delta") or 0.0),
        how=_how(found, primary),
        parity=_PARITY_WORDS.get(text(parity, "verdict") or "", _PARITY_WORDS["NOT MEASURED"]),
        parity_sentence=text(parity, "sentence") or "Whether both sides say the same was not looked at.",
        notes=tuple(f"{text(one, 'sentence')} {text(one, 'fix')}" for one in mappings(found, "reasons")),
    )


def change(ratio: float | None, *, as_factor: bool | None = None) -> str:
    """A ratio as a signed change in percent; from twice on, or half, as a factor (unless told which)."""
    if ratio is None:
        return UNKNOWN
    as_factor = is_factor(ratio) if as_factor is None else as_factor
    return f"{ratio:.2f}x" if as_factor else f"{100 * (ratio - 1):+.1f} %"


def _metric_row(one: Plain, *, decides: bool) -> MetricRow:
    low, high, ratio = number(one, "low"), number(one, "high"), number(one, "ratio")
    as_factor = ratio is not None and is_factor(ratio)
    ends = [change(end, as_factor=as_factor) for end in (low, high)]
    label = text(one, "label") or ""
    return MetricRow(
        cells=(
            f"{label[:1].upper()}{label[1:]}, {text(one, 'unit')}",
            number_text(number(one, "a_value")),
            number_text(number(one, "b_value")),
            change(ratio),
            UNKNOWN if low is None or high is None else " to ".join(ends),
        ),
        decides=decides,
    )


def _quad_row(quad: Plain) -> tuple[str, ...]:
    sides = [", ".join(number_text(value) for value in _numbers(quad, side)) for side in "ab"]
    return (
        str(int(number(quad, "quad") or 0) + 1),
        " ".join(text(quad, "order") or ""),
        *sides,
        change(number(quad, "ratio")),
    )


def _numbers(parent: Plain, key: str) -> Sequence[float]:
    value = parent.get(key)
    return [float(one) for one in value if isinstance(one, int | float)] if isinstance(value, list | tuple) else []


def _noise(primary: Plain, *, delta: float) -> tuple[str, ...]:
    noise = mapping(primary, "noise")
    quad_cv, trial_cv, sees = (number(noise, key) for key in ("quad_cv", "trial_cv", "sees"))
    if quad_cv is None or trial_cv is None or sees is None:
        return ()
    quads = len(mappings(primary, "quads"))
    return (
        f"Ratios of quads differ by {quad_cv:.1%} (standard deviation); trials of one side by {trial_cv:.1%}.",
        f"{quads} such quads show a difference of {sees:.1%} or more four times in five.",
        f"Trials that are not paired would have to be {number_text(number(noise, 'unpaired_trials'))} on each side to "
        f"show {100 * delta:g} %.",
    )


def _how(found: Plain, primary: Plain) -> tuple[str, ...]:
    ran, asked = len(mappings(primary, "quads")), number(found, "quads")
    starts = _numbers(found, "starts")
    restarts = f"engines started {starts[0]:.0f} and {starts[1]:.0f} times" if len(starts) == 2 else ""
    return (
        f"{ran} of {number_text(asked)} quads; each is four trials, A B B A or B A A B by chance",
        "both sides of a block get the same prompts at the same times; every block has new ones",
        f"restarts: {text(found, 'restart')} ({restarts})",
    )
