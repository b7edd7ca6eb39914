"""The end of a benchmark on the terminal: the answer first, a row per run, then what to know before believing it."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from tokenforge.cli.show import wide_console
from tokenforge.cli.verdict_text import print_verdict
from tokenforge.report.instrument import ms_text
from tokenforge.report.ledger import ledger_line
from tokenforge.report.limits import share_line
from tokenforge.report.verdict_view import verdict_view

_COLUMNS = ("workload", "runtime", "ok", "failed", "tok/s", "TTFT p50", "p95 ms", "TPOT p50 ms", "verdict")
_STYLES = {"VALID": "green", "SUSPECT": "yellow", "INVALID": "bold red"}

Document = Mapping[str, object]


def print_summary(document: Document, *, console: Console | None = None) -> None:
    """Print `document["summary"]` of a record."""
    console = console or wide_console()
    summary = _mapping(document["summary"])
    runs = [_mapping(run) for run in _sequence(summary["runs"])]
    if (view := verdict_view(summary)) is not None:
        print_verdict(view, console=console)
    else:
        console.print()
        console.print(_verdict(summary, runs), soft_wrap=True)
        for sentence in _sequence(summary["headline"]):
            console.print(str(sentence), style="bold", soft_wrap=True)
    console.print()
    console.print(_table(runs))
    for line in _doubts(runs):
        console.print(line, soft_wrap=True)
    console.print(_instrument(runs), soft_wrap=True)
    if times := [told for run in runs if (told := ledger_line(run))]:
        console.print(f"Time of the mean request: {'; '.join(times)}.", soft_wrap=True)
    if shares := [share for run in runs if (share := share_line(run))]:
        console.print(f"Limit: {'; '.join(shares)}.", soft_wrap=True)


def _verdict(summary: Document, runs: Sequence[Document]) -> str:
    """The verdict and the codes behind it; it comes before any number."""
    reasons = [_mapping(reason) for run in runs for reason in _sequence(run["reasons"])]
    ranked = [reason["code"] for level in ("invalid", "suspect") for reason in reasons if reason["level"] == level]
    verdict, codes = str(summary["verdict"]), dict.fromkeys(map(str, ranked))
    return f"[{_STYLES.get(verdict, '')}]{verdict}[/]" + (f": {', '.join(codes)}" if codes else "")


def _table(runs: Sequence[Document]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(_COLUMNS):
        table.add_column(column, justify="left" if number < 2 else "right", overflow="fold")
    for run in runs:
        verdict = str(run["verdict"])
        table.add_row(
            str(run["workload"]),
            str(run["runtime"]),
            str(run["ok"]),
            str(run["errors"]),
            _throughput(run),
            _latency(run, _ttft(run), "p50"),
            _latency(run, _ttft(run), "p95"),
            _latency(run, "tpot", "p50"),
            f"[{_STYLES.get(verdict, '')}]{verdict}[/]",
        )
    return table


def _doubts(runs: Sequence[Document]) -> list[str]:
    """Each reason once, with the runs it holds for."""
    where: dict[str, list[str]] = {}
    for run in runs:
        for reason in map(_mapping, _sequence(run["reasons"])):
            if reason["level"] != "note":
                text = f"{reason['code']}: {reason['sentence']} {reason['fix']}"
                where.setdefault(text, []).append(f"{run['workload']} on {run['runtime']}")
    return [f"- {text} ({', '.join(places)})" for text, places in where.items()]


def _instrument(runs: Sequence[Document]) -> str:
    """One line of the load generator itself: the worst of all runs."""
    found = [_mapping(run["instrument"]) for run in runs if run.get("instrument")]
    calibrations = [_mapping(one["calibration"]) for one in found if one.get("calibration")]
    late = _largest(found, "lag_p99_ms")
    parts = [] if late is None else [f"99 % of sends within {ms_text(late)} ms of their time"]
    errors = [(name, _largest(calibrations, f"{key}_p99_ms")) for name, key in (("TTFT", "ttft"), ("ITL", "itl"))]
    said = [f"{name} {ms_text(error)} ms" for name, error in errors if error is not None]
    truth = f"own error at p99, against a server of known truth: {', '.join(said)}" if said else "not calibrated"
    return f"Instrument: {'; '.join([*parts, truth])}."


def _largest(found: Sequence[Document], key: str) -> float | None:
    values = [value for one in found if isinstance(value := one.get(key), int | float)]
    return max(values, default=None)


def _ttft(run: Document) -> str:
    """From the schedule; a closed loop has none, so there from the send."""
    return "ttft_service" if run["loop"] == "closed" else "ttft"


def _throughput(run: Document) -> str:
    """Not of a run that had not settled: it would have been another, had the run been longer."""
    if _mapping(run["steadiness"])["state"] == "not_steady":
        return "not steady"
    return _number(_mapping(run["output_tokens_per_s"]), digits=0)


def _latency(run: Document, metric: str, quantile: str) -> str:
    metrics = _mapping(run["latencies"])
    return _number(_mapping(_mapping(metrics[metric])[quantile]), digits=1) if metric in metrics else "-"


def _number(estimate: Document, *, digits: int) -> str:
    value = estimate["value"]
    return f"{value:,.{digits}f}" if isinstance(value, int | float) else "-"


def _mapping(value: object) -> Document:
    assert isinstance(value, Mapping)
    return value


def _sequence(value: object) -> Sequence[object]:
    assert isinstance(value, list | tuple)
    return value
