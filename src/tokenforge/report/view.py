"""What the page shows of the figures, as ready text: the template decides where, never what."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from tokenforge.analysis.plain import Plain, mapping, mappings, number, text
from tokenforge.domain.record import Outcome
from tokenforge.report.gpu_words import memory_text, share_text, told_by
from tokenforge.report.numbers import UNKNOWN, number_text
from tokenforge.report.ratio_bar import ratio_axis, ratio_bar, reach_of

_VERDICT_WORDS = {
    "better": "better",
    "worse": "worse",
    "equivalent": "equal within 5 %",
    "inconclusive": "not decided",
    "offered": "set by the load",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A value with its interval, and a note on why there is none or what it leaves out."""

    label: str
    value: str
    interval: str = ""
    note: str = ""

    @property
    def starts(self) -> bool:
        """Whether this line begins a group of its own (load, first token, per token, whole answer)."""
        return (
            self.label.startswith(("Requests", "TTFT mean", "TPOT", "E2E", "Goodput", "Cost", "J per"))
            and "/s" not in self.label
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """A line of the results table. `slot` is the runtime's colour."""

    model: str
    workload: str
    runtime: str
    slot: int
    simulated: bool
    verdict: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultGroup:
    """The runs of one workload, with the labels of their lines."""

    workload: str
    rows: tuple[RunRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow:
    """A metric of a pair. `verdict` is the word for programs, `words` the one for people."""

    label: str
    baseline_value: str
    runtime_value: str
    ratio: str
    interval: str
    verdict: str
    words: str
    bar: Markup | None
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A runtime against the baseline on one model and workload."""

    model: str
    workload: str
    baseline: str
    runtime: str
    axis: Markup
    rows: tuple[ComparisonRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A reason of the validity verdict, with the runs it holds for; `is_first` of those with its code."""

    code: str
    level: str
    sentence: str
    fix: str
    runs: tuple[str, ...]
    is_first: bool


def run_rows(summary: Plain, slots: dict[str, int]) -> tuple[RunRow, ...]:
    """One row per run, in the record's order."""
    return tuple(
        RunRow(
            model=text(run, "model") or "",
            workload=text(run, "workload") or "",
            runtime=text(run, "runtime") or "",
            slot=slots.get(text(run, "runtime") or "", 0),
            simulated=run.get("simulated") is True,
            verdict=text(run, "verdict") or "INVALID",
            cells=_cells(run),
        )
        for run in mappings(summary, "runs")
    )


def result_groups(rows: Sequence[RunRow]) -> tuple[ResultGroup, ...]:
    """Rows by workload, in the order of the record."""
    names = dict.fromkeys(row.workload for row in rows)
    return tuple(ResultGroup(workload=name, rows=tuple(row for row in rows if row.workload == name)) for name in names)


def pairs(summary: Plain) -> tuple[Pair, ...]:
    """Comparisons, grouped by what is compared with what."""
    simulated = {text(run, "runtime") for run in mappings(summary, "runs") if run.get("simulated") is True}
    groups: dict[tuple[str, ...], list[Plain]] = {}
    for one in mappings(summary, "comparisons"):
        key = tuple(text(one, name) or "" for name in ("model", "workload", "baseline", "runtime"))
        groups.setdefault(tuple(f"{k} (simulated)" if k in simulated else k for k in key), []).append(one)
    return tuple(_pair(key, group) for key, group in groups.items())


def doubts(summary: Plain) -> tuple[Doubt, ...]:
    """Reasons of all runs; one that several runs share word for word is said once."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for run in mappings(summary, "runs"):
        for reason in mappings(run, "reasons"):
            key = tuple(text(reason, name) or "" for name in ("level", "code", "sentence", "fix"))
            found.setdefault((key[0], key[1], key[2], key[3]), []).append(
                f"{text(run, 'runtime')} on {text(run, 'workload')}"
            )
    order = {"invalid": 0, "suspect": 1, "note": 2}
    ranked = sorted(found.items(), key=lambda item: order.get(item[0][0], 3))
    codes = [key[1] for key, _ in ranked]
    return tuple(
        Doubt(
            level=key[0], code=key[1], sentence=key[2], fix=key[3], runs=tuple(runs), is_first=key[1] not in codes[:at]
        )
        for at, (key, runs) in enumerate(ranked)
    )


def doubt_codes(found: Sequence[Doubt]) -> tuple[str, ...]:
    """The codes that change the verdict, the gravest first; a note changes none."""
    return tuple(dict.fromkeys(one.code for one in found if one.level != "note"))


def _cells(run: Plain) -> tuple[Cell, ...]:
    latencies = mapping(run, "latencies")
    is_open = text(run, "loop") == "open"
    ttft = mapping(latencies, "ttft" if is_open else "ttft_service")
    e2e = mapping(latencies, "e2e" if is_open else "e2e_service")
    cells = [
        Cell(label="Requests", value=number_text(number(run, "ok")), interval=_others(run)),
        Cell(label="Effective requests", value=_effective_text(ttft)),
        *_steady_cells(run),
        _rate_cell(run, is_open=is_open),
        _cell("Output tokens/s", mapping(run, "output_tokens_per_s")),
        _cell("TTFT mean, ms", mapping(ttft, "mean")),
        _cell("TTFT p50, ms", mapping(ttft, "p50")),
        _cell("TTFT p95, ms", mapping(ttft, "p95")),
        _cell("TTFT p99, ms", mapping(ttft, "p99")),
        _cell("TPOT mean, ms", mapping(mapping(latencies, "tpot"), "mean")),
        _cell("ITL p99, ms", mapping(mapping(latencies, "itl"), "p99")),
        _cell("E2E mean, ms", mapping(e2e, "mean")),
    ]
    if number(run, "attainment_asked") is not None:
        cells.append(_cell("Goodput, req/s", mapping(run, "goodput")))
        cells.append(_share_cell("Within SLO", mapping(run, "attainment")))
    if run.get("cost_per_million_output") is not None:
        label = "Cost per 1M output tokens, at this load" if is_open else "Cost per 1M output tokens"
        cells.append(_cell(label, mapping(run, "cost_per_million_output")))
    return (*cells, *gpu_cells(mapping(run, "energy")))


def gpu_cells(energy: Plain) -> tuple[Cell, ...]:
    """What the GPUs drew and held; nothing where none was read."""
    if not energy:
        return ()
    per_token = replace(_cell("J per output token", mapping(energy, "joules_per_token")), note=told_by(energy))
    return (
        per_token,
        _cell("GPU power, W", mapping(energy, "watts")),
        Cell(label="GPU busy", value=share_text(energy)),
        Cell(label="GPU memory, GB", value=memory_text(energy)),
    )


def _steady_cells(run: Plain) -> tuple[Cell, ...]:
    """Whether the run settled and what of its start was left out; nothing for old records, which do not say."""
    found = mapping(run, "steadiness")
    words = {"steady": "yes", "not_steady": "no", "not_judged": "not judged"}.get(text(found, "state") or "")
    if words is None:
        return ()
    warmup_s = number(found, "warmup_s")
    left_out = f"after a warm-up of {number_text(warmup_s)} s" if warmup_s else "no warm-up left out"
    changes = (("TTFT", "ttft"), ("tokens/s", "output_tokens_per_s"))
    said = [
        f"{name} {change:+.0%}"
        for name, key in changes
        if (change := number(mapping(found, key), "change")) is not None
    ]
    note = text(found, "note") or f"{', '.join(said)} from first to second half" if said or text(found, "note") else ""
    return (Cell(label="Settled", value=words, interval=left_out, note=note),)


def _effective_text(metric: Plain) -> str:
    """Whole requests; old records do not say."""
    effective = number(metric, "effective")
    return UNKNOWN if effective is None else number_text(float(round(effective)))


def _others(run: Plain) -> str:
    """The requests beside those that ended well; planned hang-ups are of the whole trial, warm-up too."""
    counts = (
        (number(run, "errors"), "failed"),
        (number(mapping(run, "outcomes"), Outcome.HUNG_UP), "hung up as planned"),
    )
    return ", ".join(f"{number_text(count)} {words}" for count, words in counts if count)


def _rate_cell(run: Plain, *, is_open: bool) -> Cell:
    """What was asked and, beneath, what was completed; a closed loop asks for no rate."""
    completed = mapping(run, "completed_rate")
    done = number_text(number(completed, "value"))
    if not is_open:
        return _cell("Requests/s", completed)
    return Cell(label="Requests/s", value=number_text(number(run, "asked_rate")), interval=f"{done} completed")


def _cell(label: str, estimate: Plain) -> Cell:
    value, low, high = (number(estimate, key) for key in ("value", "low", "high"))
    note = text(estimate, "note") or ""
    if value is None:
        return Cell(label=label, value=UNKNOWN, note="" if note == "no data" else note)
    if low is None or high is None:
        return Cell(label=label, value=number_text(value), note=note)
    return Cell(label=label, value=number_text(value), interval=f"{number_text(low)} to {number_text(high)}", note=note)


def _share_cell(label: str, estimate: Plain) -> Cell:
    value, low, high = (number(estimate, key) for key in ("value", "low", "high"))
    if value is None:
        return Cell(label=label, value=UNKNOWN)
    interval = f"{low:.1%} to {high:.1%}" if low is not None and high is not None else ""
    return Cell(label=label, value=f"{value:.1%}", interval=interval, note=text(estimate, "note") or "")


def _pair(key: Sequence[str], group: Sequence[Plain]) -> Pair:
    ratios = [number(one, name) for one in group for name in ("ratio", "low", "high")]
    reach = reach_of(ratios)
    return Pair(
        model=key[0],
        workload=key[1],
        baseline=key[2],
        runtime=key[3],
        axis=ratio_axis(reach=reach),
        rows=tuple(_comparison_row(one, reach=reach) for one in group),
    )


def _comparison_row(one: Plain, *, reach: float) -> ComparisonRow:
    ratio, low, high = (number(one, name) for name in ("ratio", "low", "high"))
    verdict = text(one, "verdict") or "inconclusive"
    verdict = verdict if verdict in _VERDICT_WORDS else "inconclusive"
    label = text(one, "label") or ""
    return ComparisonRow(
        label=f"{label[:1].upper()}{label[1:]}, {text(one, 'unit')}",
        baseline_value=number_text(number(one, "baseline_value")),
        runtime_value=number_text(number(one, "runtime_value")),
        ratio=UNKNOWN if ratio is None else f"{ratio:.2f}x",
        interval="" if low is None or high is None else f"{low:.2f} to {high:.2f}",
        verdict=verdict,
        words=_VERDICT_WORDS[verdict],
        bar=None if ratio is None else ratio_bar(ratio=ratio, low=low, high=high, reach=reach, verdict=verdict),
        sentence=text(one, "sentence") or "",
    )
