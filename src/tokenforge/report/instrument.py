"""The load generator as an instrument: one table per workload, a column per runtime, in words that need no expert."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tokenforge.analysis.plain import Plain, mapping, mappings, number, sentences, text
from tokenforge.report.numbers import UNKNOWN, number_text

HOW = (
    "Every number above was taken with a load generator. This is how well it kept the plan during the trials, and how "
    "wrong its own stamps are: after the trials its load was offered again for a second or two to a server that makes "
    "no tokens but writes down when it really sent each one. The difference is the error. It was measured on the "
    "machine that sent the load, with no engine running: it is the least the client can be wrong by, and says nothing "
    "of a network in between."
)

_MEANINGS: tuple[tuple[str, str], ...] = (
    ("Requests/s, asked and sent", "They should agree; if not, the server met another load than the workload says."),
    (
        "Gaps between sends",
        "Do they follow the law that was asked? p below 0.01 is rare by chance (Kolmogorov-Smirnov test, the smallest "
        "of the trials). Arrivals without a law are held against their plan.",
    ),
    (
        "Sent late p50, p99, max, ms",
        "How long after its planned time a request left (lag): half, 99 % and all of them, worst trial.",
    ),
    ("TTFT error p50, p99, max, ms", "Time to first token as read minus the true one: middle, 99 % within, largest."),
    ("ITL error p50, p99, max, ms", "The same for each gap between two tokens."),
    ("Merged reads", "Reads that brought several tokens at once; those share one time, which blurs ITL."),
    ("Processes, CPU", "Load generator processes, and how much of its core the busiest used. Near 100 % it is late."),
    ("Longest standstill, ms", "The longest pause for Python's garbage collection. Sends due in it were late."),
    ("Times by the kernel", "Yes: arrivals were stamped by the kernel, not when Python got to look."),
    (
        "Clock set, requests sent again",
        "Jumps of the wall clock; requests repeated because a kept connection was gone.",
    ),
    ("Scheduling", "How the kernel ran the generator: real time is ahead of everything else on the machine."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentRow:
    """A line: one cell per runtime, or a single one that holds for all."""

    label: str
    meaning: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentTable:
    """One workload (of one model)."""

    model: str
    workload: str
    runtimes: tuple[str, ...]
    rows: tuple[InstrumentRow, ...]


def instrument_tables(summary: Plain) -> tuple[InstrumentTable, ...]:
    """A table for each model and workload, in the record's order."""
    groups: dict[tuple[str, str], list[Plain]] = {}
    for run in mappings(summary, "runs"):
        groups.setdefault((text(run, "model") or "", text(run, "workload") or ""), []).append(run)
    return tuple(
        InstrumentTable(
            model=model,
            workload=workload,
            runtimes=tuple(text(run, "runtime") or "" for run in runs),
            rows=tuple(_rows(runs)),
        )
        for (model, workload), runs in groups.items()
    )


def calibrated_text(instrument: Plain, metric: str) -> str:
    """`0.007, 0.03, 0.04` (middle, p99, largest) for `ttft` or `itl`, or why there is no number."""
    calibration = mapping(instrument, "calibration")
    if not calibration:
        return "not calibrated"
    cause = text(calibration, "cause")
    if cause is not None:
        return f"not calibrated: {cause}"
    values = [number(calibration, f"{metric}_{name}_ms") for name in ("p50", "p99", "max")]
    return UNKNOWN if values[1] is None else ", ".join(ms_text(value) for value in values)


def arrivals_text(instrument: Plain) -> str:
    """The smallest p of the trials, or how well the gaps of the plan were kept."""
    tests = mappings(instrument, "arrivals")
    ps = [p for test in tests if (p := number(test, "p")) is not None]
    if ps:
        smallest = f"p {min(ps):.2g}" if min(ps) >= 1e-4 else "p below 0.0001"
        return smallest if len(ps) == 1 else f"{smallest}, of {len(ps)} trials"
    gaps = [gap for test in tests if (gap := number(test, "gap_error_p99_ms")) is not None]
    return f"99 % within {ms_text(max(gaps))} ms of plan" if gaps else UNKNOWN


def ms_text(value: float | None) -> str:
    """Milliseconds: to the microsecond below 1, three figures above."""
    if value is None:
        return UNKNOWN
    if abs(value) >= 1:
        return number_text(value)
    return "0" if abs(value) < 0.0005 else f"{value:.3f}"


def lag_text(instrument: Plain) -> str:
    """`0.03, 0.4, 1.1`: half of the sends, 99 %, all."""
    values = [number(instrument, f"lag_{name}_ms") for name in ("p50", "p99", "max")]
    return UNKNOWN if values[1] is None else ", ".join(ms_text(value) for value in values)


def share_text(value: float | None) -> str:
    """A share in per cent."""
    return UNKNOWN if value is None else f"{value:.0%}" if value in (0, 1) or value >= 0.1 else f"{value:.1%}"


def _rows(runs: Sequence[Plain]) -> Sequence[InstrumentRow]:
    pairs = [(run, mapping(run, "instrument")) for run in runs]
    makers: tuple[Callable[[Plain, Plain], str], ...] = (
        lambda run, _: _rates(run),
        lambda run, one: arrivals_text(one) if text(run, "loop") == "open" else "as answers came",
        lambda run, one: lag_text(one) if text(run, "loop") == "open" else "no planned times",
        lambda _, one: calibrated_text(one, "ttft"),
        lambda _, one: calibrated_text(one, "itl"),
        lambda _, one: share_text(number(one, "merged_read_share")),
        lambda _, one: f"{number_text(number(one, 'processes'))}, {share_text(number(one, 'cpu_share'))}",
        lambda _, one: ms_text(number(one, "gc_pause_max_ms")),
        lambda _, one: _yes_or_no(one.get("kernel_stamps")),
        lambda _, one: f"{number_text(number(one, 'clock_steps'))}, {number_text(number(one, 'retried'))}",
        lambda _, one: ", ".join(sentences(one, "scheduling")) or UNKNOWN,
    )
    return [
        InstrumentRow(label=label, meaning=meaning, cells=_once([make(*pair) for pair in pairs], label))
        for (label, meaning), make in zip(_MEANINGS, makers, strict=True)
    ]


def _once(cells: list[str], label: str) -> tuple[str, ...]:
    """A calibration is of the workload, not of a runtime: it is said once."""
    return (cells[0],) if " error" in label and len(set(cells)) == 1 else tuple(cells)


def _yes_or_no(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else UNKNOWN


def _rates(run: Plain) -> str:
    sent = number_text(number(run, "sent_rate"))
    if text(run, "loop") != "open":
        return f"{sent} sent"
    return f"{number_text(number(run, 'asked_rate'))}, {sent}"
