"""Parity as ready text: what was found, beside what the reference does to itself and what was allowed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenforge.analysis.plain import Plain, mapping, mappings, number, sentences, text
from tokenforge.report.markup import markdown_text
from tokenforge.report.numbers import UNKNOWN, number_text

PARITY_COLUMNS = ("measure", "A with itself", "B against A", "allowed")
MARKS = {"PASS": "✓ Pass", "FAIL": "✕ Fail", "NOT MEASURED": "? Not measured"}
HOW = (
    "Both answer the same prompts greedily. Then both tell how likely each token of the reference's answers is, after "
    "the same tokens before it. A is the reference; A with itself, alone and in a batch, is the noise floor."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityView:
    """The result for a page or a terminal. `rows` are under `PARITY_COLUMNS`; `remarks` are reasons, then notes."""

    verdict: str
    mark: str
    sentence: str
    title: str
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...]


def parity_view(found: Plain) -> ParityView | None:
    """The view of a result; None where there is none."""
    if not found:
        return None
    reasons = [f"{text(one, 'code')}: {text(one, 'sentence')}" for one in mappings(found, "reasons")]
    form, verdict = text(found, "number_format"), text(found, "verdict") or "NOT MEASURED"
    allowed = (
        [f"Allowed is what {form} rounds away, on top of the noise floor."] if form and mapping(found, "forced") else []
    )
    return ParityView(
        verdict=verdict,
        mark=MARKS.get(verdict, verdict),
        sentence=text(found, "sentence") or "",
        title=f"{text(found, 'candidate')} against {text(found, 'reference')}",
        rows=(*_answer_rows(found), *_score_rows(found), *_ending_rows(found)),
        remarks=(*reasons, *sentences(found, "notes"), *allowed),
    )


def parity_markdown(found: Plain, *, heading: str = "## Parity") -> list[str]:
    """The result as lines of GitHub-flavoured Markdown; nothing where there is none."""
    view = parity_view(found)
    if view is None:
        return []
    lines = [f"{heading}: {view.mark}", "", markdown_text(view.sentence), ""]
    if view.rows:
        lines += [_line(PARITY_COLUMNS), "|---" + "|---:" * (len(PARITY_COLUMNS) - 1) + "|"]
        lines += [*(_line(row) for row in view.rows), "", HOW, ""]
    return lines + [f"- {markdown_text(remark)}" for remark in view.remarks]


def _answer_rows(found: Plain) -> Iterator[tuple[str, ...]]:
    free, floor, limits = mapping(found, "free"), mapping(found, "free_floor"), mapping(found, "limits")
    if not free:
        return
    yield ("Answers equal to the last token", _of(floor, "exact"), _of(free, "exact"), "any")
    yield ("Answers that part at a near-tie", _of(floor, "benign"), _of(free, "benign"), "any")
    hard = number(limits, "hard_rate")
    yield ("Answers that part where none was", _of(floor, "hard"), _of(free, "hard"), _percent(hard))
    if number(free, "unjudged"):
        yield ("Answers that part, not judged", _of(floor, "unjudged"), _of(free, "unjudged"), UNKNOWN)
    places = [number_text(number(one, "first_divergence")) for one in (floor, free)]
    yield ("First different token, median", *places, "any")


def _score_rows(found: Plain) -> Iterator[tuple[str, ...]]:
    forced, floor, limits = mapping(found, "forced"), mapping(found, "forced_floor"), mapping(found, "limits")
    if not forced:
        return
    yield ("Tokens scored by both", *(number_text(number(one, "tokens")) for one in (floor, forced)), "")
    yield ("Same first choice", *(_percent(number(one, "top1_agreement")) for one in (floor, forced)), "any")
    clear = [_percent(number(one, "clear_disagreement")) for one in (floor, forced, limits)]
    yield ("Another choice though A was sure", *clear)
    differences = [number_text(number(one, "mean_abs_dlogprob")) for one in (floor, forced, limits)]
    yield ("Mean difference of log-probabilities, nats", *differences)
    shares = [number_text(number(one, "kl_share")) for one in (floor, forced, limits)]
    yield ("Divergence, as a share of all that A knows", *shares)


def _ending_rows(found: Plain) -> Iterator[tuple[str, ...]]:
    ends, limits = mapping(found, "endings"), mapping(found, "limits")
    if not ends:
        return
    lengths = [number_text(number(ends, f"{side}_tokens")) for side in ("reference", "candidate")]
    yield ("Length of an answer, mean tokens", *lengths, f"± {_percent(number(limits, 'length'))}")
    finishes = [_finishes(mapping(ends, f"{side}_finish")) for side in ("reference", "candidate")]
    yield ("How answers end", *finishes, f"± {_percent(number(limits, 'finish'))}")


def _finishes(shares: Plain) -> str:
    return ", ".join(f"{name} {_percent(number(shares, name))}" for name in sorted(shares))


def _of(free: Plain, kind: str) -> str:
    count, prompts = number(free, kind), number(free, "prompts")
    return UNKNOWN if count is None or prompts is None else f"{count:.0f} of {prompts:.0f}"


def _percent(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.3g} %"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"
