"""The short form of a report, for a pull request or a chat: headline, verdict, one table, comparisons, doubts."""

from collections.abc import Mapping, Sequence

from tokenforge.analysis.plain import Plain, mapping, mappings, number, sentences, text
from tokenforge.report.instrument import arrivals_text, calibrated_text, lag_text, share_text
from tokenforge.report.limits import COLUMNS, limit_table
from tokenforge.report.markup import markdown_text
from tokenforge.report.numbers import estimate_text, number_text
from tokenforge.report.parity_view import parity_markdown
from tokenforge.report.verdict_view import METRIC_COLUMNS, QUAD_COLUMNS, verdict_view

_COLUMNS = (
    "workload",
    "runtime",
    "verdict",
    "ok",
    "errors",
    "asked req/s",
    "output tokens/s",
    "TTFT mean, ms",
    "TTFT p95, ms",
    "TPOT mean, ms",
    "E2E mean, ms",
)
_INSTRUMENT = (
    "workload",
    "runtime",
    "gaps between sends",
    "asked req/s",
    "sent req/s",
    "sent late p50, p99, max, ms",
    "TTFT error p50, p99, max, ms",
    "ITL error p50, p99, max, ms",
    "merged reads",
    "processes",
    "CPU",
)
_INSTRUMENT_NOTE = (
    "Errors are the load generator's own, against a server of known truth on the machine that sent the load, with no "
    "engine running: the least that the client can be wrong by."
)


def render_markdown(document: Mapping[str, object]) -> str:
    """GitHub-flavoured Markdown from a record with its `summary`. Names are escaped, so they cannot make markup."""
    summary = mapping(document, "summary")
    runs = mappings(summary, "runs")
    lines = [f"# Benchmark: {text(summary, 'verdict') or 'no verdict'}", ""]
    lines += [f"{markdown_text(sentence)}\n" for sentence in sentences(summary, "headline")]
    lines += _verdict(summary)
    lines += _table(_COLUMNS, [_row(run) for run in runs])
    comparisons = mappings(summary, "comparisons")
    if comparisons:
        lines += ["", "## Compared", ""]
        lines += [f"- **{text(one, 'workload')}** {markdown_text(text(one, 'sentence') or '')}" for one in comparisons]
    if parity := parity_markdown(mapping(document, "parity")):
        lines += ["", *parity]
    doubts = [(run, reason) for run in runs for reason in mappings(run, "reasons")]
    if doubts:
        lines += ["", "## Read before use", ""]
        lines += [_doubt(run, reason) for run, reason in doubts]
    lines += _limits(summary)
    lines += [
        "",
        "## Instrument",
        "",
        *_table(_INSTRUMENT, [_instrument_row(run) for run in runs]),
        "",
        _INSTRUMENT_NOTE,
    ]
    tool = mapping(document, "tool")
    lines += [
        "",
        f"Intervals are 95 % over trials. {text(document, 'id')}, "
        f"{text(tool, 'name')} {text(tool, 'version')}, {text(document, 'created_at')}.",
    ]
    return "\n".join(lines) + "\n"


def _verdict(summary: Plain) -> list[str]:
    """A comparison's own part: what decided, the quads, the noise; nothing in other records."""
    view = verdict_view(summary)
    if view is None:
        return []
    told = (f"{view.parity}: {view.parity_sentence}", *view.noise, *view.how, *view.notes)
    return [
        markdown_text(f"A is {view.a}, B is {view.b}; {view.decided_by}."),
        "",
        *_table(METRIC_COLUMNS, [row.cells for row in view.metrics]),
        "",
        *_table(QUAD_COLUMNS, view.quads),
        "",
        *(f"- {markdown_text(line)}" for line in told),
        "",
    ]


def _row(run: Plain) -> Sequence[str]:
    latencies = mapping(run, "latencies")
    is_open = text(run, "loop") == "open"
    ttft = mapping(latencies, "ttft" if is_open else "ttft_service")
    e2e = mapping(latencies, "e2e" if is_open else "e2e_service")
    name = text(run, "runtime") or ""
    return (
        text(run, "workload") or "",
        f"{name} (simulated)" if run.get("simulated") is True else name,
        text(run, "verdict") or "",
        number_text(number(run, "ok")),
        number_text(number(run, "errors")),
        number_text(number(run, "asked_rate")),
        estimate_text(mapping(run, "output_tokens_per_s")),
        estimate_text(mapping(ttft, "mean")),
        estimate_text(mapping(ttft, "p95")),
        estimate_text(mapping(mapping(latencies, "tpot"), "mean")),
        estimate_text(mapping(e2e, "mean")),
    )


def _limits(summary: Plain) -> list[str]:
    """How close to the limit, what the ceilings are, and why there is none for the others; nothing in old records."""
    found = limit_table(summary)
    if not found.rows and not found.missing:
        return []
    table = _table(COLUMNS, found.rows) if found.rows else []
    return ["", "## Limits", "", *table, *(f"\n{markdown_text(one)}" for one in (*found.sources, *found.missing))]


def _instrument_row(run: Plain) -> Sequence[str]:
    instrument = mapping(run, "instrument")
    return (
        text(run, "workload") or "",
        text(run, "runtime") or "",
        arrivals_text(instrument),
        number_text(number(run, "asked_rate")),
        number_text(number(run, "sent_rate")),
        lag_text(instrument),
        calibrated_text(instrument, "ttft"),
        calibrated_text(instrument, "itl"),
        share_text(number(instrument, "merged_read_share")),
        number_text(number(instrument, "processes")),
        share_text(number(instrument, "cpu_share")),
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "|" + "|".join(["---"] * 3 + ["---:"] * (len(columns) - 3)) + "|"]
    return lines + ["| " + " | ".join(markdown_text(cell) for cell in row) + " |" for row in rows]


def _doubt(run: Plain, reason: Plain) -> str:
    where = f"{text(run, 'runtime')} on {text(run, 'workload')}"
    return (
        f"- **{markdown_text(where)}**, {text(reason, 'level')} `{text(reason, 'code')}`: "
        f"{markdown_text(text(reason, 'sentence') or '')} {markdown_text(text(reason, 'fix') or '')}"
    )
