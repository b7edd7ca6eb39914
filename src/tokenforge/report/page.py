"""The report: one HTML file that needs nothing else, the same bytes for the same record.

It reads the record, its summary and the requests, and no clock. Names come from users and servers, so everything is
escaped; the page asks for nothing from the network and runs no script.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tokenforge.analysis.document import RunFacts, read_facts
from tokenforge.analysis.plain import Plain, mapping, mappings, sentences, text
from tokenforge.analysis.requests import Requests
from tokenforge.analysis.trials import MeasuredTrials
from tokenforge.report import facts, ledger, limits, view
from tokenforge.report.charts import SLOTS
from tokenforge.report.definitions import DEFINITIONS
from tokenforge.report.figures import Figure, workload_figures
from tokenforge.report.instrument import HOW, instrument_tables
from tokenforge.report.parity_view import HOW as HOW_PARITY
from tokenforge.report.parity_view import PARITY_COLUMNS, parity_view
from tokenforge.report.quad_picture import picture_caption, quad_picture
from tokenforge.report.series import RunSeries
from tokenforge.report.verdict_view import METRIC_COLUMNS, QUAD_COLUMNS, verdict_view


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The figures of one model and workload."""

    model: str
    workload: str
    figures: tuple[Figure, ...]


def render_report(document: Mapping[str, object], requests: Requests, *, trials: MeasuredTrials | None = None) -> str:
    """The page of a record that has its `summary`; `trials` are its requests measured, where they are already."""
    environment = Environment(
        loader=PackageLoader("tokenforge.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return (
        environment.get_template("report.html.j2").render(
            _page(document, trials or MeasuredTrials(requests, most_kept=0))
        )
        + "\n"
    )


def _page(document: Plain, trials: MeasuredTrials) -> Mapping[str, object]:
    summary = mapping(document, "summary")
    slots = _slots(document)
    rows = view.run_rows(summary, slots)
    doubts = view.doubts(summary)
    return {
        "style": Markup(files("tokenforge.report").joinpath("templates", "style.css").read_text()),
        "title": _title(document),
        "id": text(document, "id") or "",
        "created_at": text(document, "created_at") or "",
        "headline": sentences(summary, "headline"),
        "verdict": text(summary, "verdict") or "INVALID",
        "any_simulated": any(row.simulated for row in rows),
        "models": sorted({row.model for row in rows}),
        "groups": view.result_groups(rows),
        "pairs": view.pairs(summary),
        "contest": verdict_view(summary),
        "contest_columns": METRIC_COLUMNS,
        "quad_columns": QUAD_COLUMNS,
        "contest_picture": quad_picture(summary),
        "contest_caption": picture_caption(summary),
        "parity": parity_view(mapping(document, "parity")),
        "parity_columns": PARITY_COLUMNS,
        "parity_how": HOW_PARITY,
        "sections": _sections(document, trials, slots),
        "ledgers": ledger.ledger_figures(summary),
        "ledger_how": ledger.HOW,
        "stages": ledger.MEANINGS,
        "failures": facts.failures(document),
        "doubts": doubts,
        "doubt_codes": view.doubt_codes(doubts),
        "limits_how": limits.HOW,
        "limit_columns": limits.COLUMNS,
        "limits": limits.limit_table(summary),
        "instrument_how": HOW,
        "instruments": instrument_tables(summary),
        "workloads": facts.workload_groups(document),
        "trials": facts.trial_rows(document),
        "engines": facts.engine_groups(document),
        "machine": facts.machine_groups(document),
        "definitions": DEFINITIONS,
        "command": text(document, "command") or "",
        "checksums": _checksums(document),
    }


def _title(document: Plain) -> str:
    runs = mappings(document, "runs")
    runtimes = list(dict.fromkeys(text(run, "runtime") or "" for run in runs))
    workloads = list(dict.fromkeys(text(run, "workload") or "" for run in runs))
    return f"{' and '.join(runtimes)} on {', '.join(workloads)}"


def _slots(document: Plain) -> dict[str, int]:
    """A colour per runtime, in the order of the record."""
    names = dict.fromkeys(text(run, "runtime") or "" for run in mappings(document, "runs"))
    return {name: number % SLOTS for number, name in enumerate(names)}


def _sections(document: Plain, trials: MeasuredTrials, slots: Mapping[str, int]) -> Sequence[Section]:
    groups: dict[tuple[str, str], list[RunFacts]] = {}
    for run in read_facts(document).runs:
        groups.setdefault((run.model, run.workload.name), []).append(run)
    sections = []
    for number, ((model, workload), runs) in enumerate(groups.items()):
        series = [_series(run, trials, slots) for run in runs]
        figures = workload_figures(series, key=f"w{number}")
        sections.append(Section(model=model, workload=workload, figures=figures))
    return [one for one in sections if one.figures]


def _series(run: RunFacts, trials: MeasuredTrials, slots: Mapping[str, int]) -> RunSeries:
    return RunSeries(
        runtime=f"{run.runtime} (simulated)" if run.simulated else run.runtime,
        slot=slots.get(run.runtime, 0),
        is_open=run.workload.is_open,
        trials=trials.of(run),
    )


def _checksums(document: Plain) -> Sequence[facts.Fact]:
    names = (("spec_hash", "resolved spec, SHA-256"), ("requests_sha256", "requests.parquet, SHA-256"))
    return [facts.Fact(label=label, value=text(document, key) or "–") for key, label in names]
