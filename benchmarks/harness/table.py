"""The tables of a comparison, from its trials: medians over repeats, as text for a terminal and as Markdown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import rich.table
from rich.console import Console

from harness.trial import Figures, Trial

Pick = Callable[[Figures], float | None]

_RATE_HEADER = (
    "client", "arrived req/s", "KS p", "TTFT error p50 | p99, ms", "server's TTFT error p50 | p99, ms",
    "ITL error p50 | p99, ms", "sent late p50 | p99, ms", "CPU s per 1k tokens, while streaming | to the end",
    "server late p99, ms",
)  # fmt: skip
_SUMMARY_HEADER = (
    "client", "version", "highest rate held, req/s", "within, ms", "tokens/s at 256 streams",
    "CPU s per 1k tokens there, while streaming | to the end",
    "first request after, s", "CPU s until then", "TTFT counts from",
)  # fmt: skip

NOTES = (
    "Truth is the server's log. Errors are |reported - true|; medians over repeats of each trial's own p50 and p99.",
    "TTFT error: true = first token sent by the server - the client's own zero (last column of the summary).",
    "Server's TTFT error: the TTFT from the send against what the server took (first token sent - request arrived).",
    "ITL error: gap by gap; mean by mean (*) where a client reports only means.",
    "Sent late: arrival at the server - the client's zero; the delay between what a client says and what it does.",
    "KS p: Kolmogorov-Smirnov test of the gaps between arrivals at the server against the asked Poisson process.",
    "Server late: how late the truth server itself sent tokens; where that is large, the machine was busy.",
    "CPU: user + system of the client's whole process tree, without start-up: while tokens come; and to the end of the",
    "process, with what it parses, counts and writes afterwards.",
    "Held: all completed, rate reached, and p99 of TTFT error, ITL error and lateness within the bound.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text under a header."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As Markdown, with the title in bold."""
        lines = [self.header, tuple("---" for _ in self.header), *self.rows]
        body = "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)
        return f"**{self.title}**\n\n{body}\n"

    def show(self, console: Console) -> None:
        """On a terminal."""
        table = rich.table.Table(*self.header, title=self.title, title_justify="left")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A client in the summary. `out` is why it was left out; `held` the highest rate, None without a ladder."""

    name: str
    version: str
    bound_ms: float
    zero: str
    held: float | None = None
    out: str | None = None


def rate_table(entries: Sequence[Entry], trials: Sequence[Trial], *, rate: float) -> Table:
    """All clients at one rate."""
    rows = [_rate_row(entry, _at(entry, trials, lambda trial: trial.load.rate == rate)) for entry in entries]
    return Table(title=f"At {rate:g} requests/s", header=_RATE_HEADER, rows=tuple(rows))


def summary_table(entries: Sequence[Entry], trials: Sequence[Trial]) -> Table:
    """What each client can do at most, and what it costs to start it."""
    rows = [_summary_row(entry, _at(entry, trials, lambda trial: True)) for entry in entries]
    return Table(title="Limits and costs", header=_SUMMARY_HEADER, rows=tuple(rows))


def middle(found: Sequence[Figures], pick: Pick) -> float | None:
    """The median of what is there."""
    values = [value for value in map(pick, found) if value is not None]
    return median(values) if values else None


def number(value: float | None) -> str:
    """Three significant digits, thousands in full; a dash for nothing."""
    if value is None:
        return "-"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else "<0.001"


def _at(entry: Entry, trials: Sequence[Trial], is_wanted: Callable[[Trial], bool]) -> list[Figures]:
    mine = (trial for trial in trials if trial.client == entry.name and is_wanted(trial))
    return [trial.figures for trial in mine if trial.figures is not None]


def _rate_row(entry: Entry, found: Sequence[Figures]) -> tuple[str, ...]:
    if not found:
        return (entry.name, entry.out or "failed", *("-" for _ in _RATE_HEADER[2:]))
    star = "" if found[0].errors.by_gap else " *"
    return (
        entry.name,
        number(middle(found, lambda f: f.rate)),
        number(middle(found, lambda f: f.arrival_p)),
        _two(found, lambda f: f.errors.ttft_p50_ms, lambda f: f.errors.ttft_p99_ms),
        _two(found, lambda f: f.errors.service_ttft_p50_ms, lambda f: f.errors.service_ttft_p99_ms),
        _two(found, lambda f: f.errors.gap_p50_ms, lambda f: f.errors.gap_p99_ms) + star,
        _two(found, lambda f: f.errors.late_p50_ms, lambda f: f.errors.late_p99_ms),
        _two(found, lambda f: f.cpu_per_1k_s, lambda f: f.cpu_whole_per_1k_s),
        number(middle(found, lambda f: f.server_late_p99_ms)),
    )


def _summary_row(entry: Entry, found: Sequence[Figures]) -> tuple[str, ...]:
    if not found:
        return (entry.name, entry.version, entry.out or "-", *("-" for _ in _SUMMARY_HEADER[3:]))
    streams = [figures for figures in found if figures.tokens_per_s is not None]
    return (
        entry.name,
        entry.version,
        "-" if entry.held is None else "none" if entry.held == 0 else number(entry.held),
        f"{entry.bound_ms:g}",
        number(middle(streams, lambda f: f.tokens_per_s)),
        _two(streams, lambda f: f.cpu_per_1k_s, lambda f: f.cpu_whole_per_1k_s),
        number(middle(found, lambda f: f.first_request_s)),
        number(middle(found, lambda f: f.cpu_start_s)),
        entry.zero,
    )


def _two(found: Sequence[Figures], first: Pick, second: Pick) -> str:
    return f"{number(middle(found, first))} | {number(middle(found, second))}"
