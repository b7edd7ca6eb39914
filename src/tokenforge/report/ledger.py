"""Where the time went: a bar per run whose pieces are the stages of a request, and the same as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tokenforge.analysis.plain import Plain, mapping, mappings, number, sentences, text
from tokenforge.report.charts import Axis, Words, svg, text_at, tick_text, ticks
from tokenforge.report.figures import Table
from tokenforge.report.numbers import number_text

HOW = (
    "The time of a request, from when it was due (in a closed loop: sent) to the end of its answer, in its stages. The "
    "pieces of a bar add up to the whole: the upper bar is the mean of all requests, the lower one that of the slowest "
    "1 %. The server tells how long its own parts took, by its own clock; no clocks are compared, and what is left is "
    "the network. A stage that nobody told is not zero: it stands together with its neighbours, joined by a plus."
)
MEANINGS = (
    ("lag", "The load generator sent the request late."),
    ("network", "Both ways between client and server, and the end of the answer after its last token."),
    ("gateway", "In front of the worker, until the request was passed on."),
    ("worker", "The worker itself: HTTP, chat template, tokenising, text."),
    ("queue", "Waiting until the engine took the request up."),
    ("prefill", "From there to the first token: the prompt is worked off, and others' steps with it."),
    ("decode", "From the first token to the last, at the usual pace."),
    ("stall", "Gaps of over 5 times the usual pace: what they have beyond it."),
)

_WIDTH, _LEFT, _RIGHT = 900, 190, 20
_BAR, _GAP, _GROUP, _FLOOR = 22, 4, 20, 44
_LEAST_LABEL = 34.0
_ROWS = (("all", "mean"), ("slowest 1 %", "slowest"))


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFigure:
    """The bars of one model and workload; `legend` pairs a stage's words with its colour."""

    model: str
    workload: str
    svg: Markup
    legend: tuple[tuple[str, str], ...]
    tables: tuple[tuple[str, Table], ...]


def ledger_figures(summary: Plain) -> tuple[LedgerFigure, ...]:
    """One figure per model and workload that has a ledger; none for records that know of none."""
    groups: dict[tuple[str, str], list[Plain]] = {}
    for run in mappings(summary, "runs"):
        if mappings(mapping(run, "ledger"), "stages"):
            groups.setdefault((text(run, "model") or "", text(run, "workload") or ""), []).append(run)
    return tuple(_figure(key, runs, place=place) for place, (key, runs) in enumerate(groups.items()))


def ledger_line(run: Plain) -> str | None:
    """`vllm on qa: decode 87 %, prefill 8 %`: the shares of the mean, the largest first; None without a ledger."""
    stages = mappings(mapping(run, "ledger"), "stages")
    shares = sorted(((number(stage, "share") or 0.0, words_of(stage)) for stage in stages), reverse=True)
    said = [f"{words} {share:.0%}" for share, words in shares if share >= 0.005]
    return f"{text(run, 'runtime')} on {text(run, 'workload')}: {', '.join(said)}" if said else None


def words_of(stage: Plain) -> str:
    """`queue`, or `network + gateway` for a sum."""
    return " + ".join(sentences(stage, "parts"))


def _figure(key: tuple[str, str], runs: Sequence[Plain], *, place: int) -> LedgerFigure:
    longest = max(_value(mapping(mapping(run, "ledger"), "e2e"), which) for run in runs for _, which in _ROWS)
    axis = Axis(low=0.0, high=longest * 1.02 or 1.0, label="ms, from " + _origin(runs[0]))
    height = len(runs) * (2 * (_BAR + _GAP) + _GROUP) + _FLOOR
    body = [_axis(axis, height=height), *(part for at, run in enumerate(runs) for part in _run_bars(run, axis, at=at))]
    words = Words(
        key=f"ledger{place}",
        title="Where the time went",
        description="Stages of a request as pieces of a bar, per runtime: the mean of all requests and of the slowest.",
    )
    stages = {words_of(one): _colour(one) for run in runs for one in mappings(mapping(run, "ledger"), "stages")}
    return LedgerFigure(
        model=key[0],
        workload=key[1],
        svg=svg(words, body, width=_WIDTH, height=height),
        legend=tuple(stages.items()),
        tables=tuple((_name(run), _table(mapping(run, "ledger"))) for run in runs),
    )


def _run_bars(run: Plain, axis: Axis, *, at: int) -> Iterator[Markup]:
    top = at * (2 * (_BAR + _GAP) + _GROUP) + _GROUP
    yield text_at(0, top - 5, _name(run), css="name")
    for row, (label, which) in enumerate(_ROWS):
        y = top + row * (_BAR + _GAP)
        yield text_at(_LEFT - 10, y + _BAR * 0.68, label, anchor="end")
        yield from _pieces(mapping(run, "ledger"), which, axis, y=y)


def _pieces(ledger: Plain, which: str, axis: Axis, *, y: float) -> Iterator[Markup]:
    """A rectangle per stage, end to end; those wide enough say their milliseconds."""
    begun = 0.0
    for stage in mappings(ledger, "stages"):
        value = _value(stage, which)
        left, right = _x(axis, begun), _x(axis, begun + value)
        begun += value
        yield Markup('<rect class="piece t-{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
            _colour(stage), f"{left:.1f}", f"{y:.1f}", f"{max(0.0, right - left):.1f}", _BAR,
            f"{words_of(stage)}: {number_text(value)} ms",
        )  # fmt: skip
        if right - left >= _LEAST_LABEL:
            yield text_at((left + right) / 2, y + _BAR * 0.68, number_text(value), anchor="middle", css="inside")


def _axis(axis: Axis, *, height: float) -> Markup:
    floor = height - _FLOOR
    lines = "".join(f"M{_x(axis, mark):.1f} 8V{floor:g}" for mark in ticks(axis))
    marks = [text_at(_x(axis, mark), floor + 17, tick_text(mark), anchor="middle") for mark in ticks(axis)]
    name = text_at((_LEFT + _WIDTH - _RIGHT) / 2, height - 6, axis.label, anchor="middle", css="name")
    return Markup('<path class="grid" d="{}"/>').format(lines) + Markup("").join(marks) + name


def _table(ledger: Plain) -> Table:
    rows = [_cells(words_of(stage), stage) for stage in mappings(ledger, "stages")]
    rows.append(_cells("E2E", mapping(ledger, "e2e")))
    return Table(columns=("stage, ms", "mean", "95 % interval", "p50", "p99", "share", "slowest 1 %"), rows=tuple(rows))


def _cells(name: str, stage: Plain) -> tuple[str, ...]:
    mean = mapping(stage, "mean")
    low, high = number(mean, "low"), number(mean, "high")
    interval = "" if low is None or high is None else f"{number_text(low)} to {number_text(high)}"
    p50, p99, slowest = (number_text(number(stage, key)) for key in ("p50", "p99", "slowest"))
    return (name, number_text(number(mean, "value")), interval, p50, p99, f"{number(stage, 'share') or 0:.1%}", slowest)


def _value(stage: Plain, which: str) -> float:
    value = number(mapping(stage, "mean"), "value") if which == "mean" else number(stage, which)
    return value or 0.0


def _colour(stage: Plain) -> str:
    """The stage whose colour a sum has: its first."""
    first = next(iter(sentences(stage, "parts")), "")
    return first if first in dict(MEANINGS) else "network"


def _name(run: Plain) -> str:
    name = text(run, "runtime") or ""
    return f"{name} (simulated)" if run.get("simulated") is True else name


def _origin(run: Plain) -> str:
    return "when the request was due" if text(mapping(run, "ledger"), "origin") == "due" else "when it was sent"


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_WIDTH - _LEFT - _RIGHT)
