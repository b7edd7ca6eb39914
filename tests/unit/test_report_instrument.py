"""The instrument in the report, its short form and on the terminal: a table per workload, words for what is unknown."""

import io
from typing import Any

import pytest
from record_samples import Engine, Load, sample
from rich.console import Console
from test_analysis_instrument import calibration

from tokenforge.analysis.summary import summarise
from tokenforge.cli.summary_table import print_summary
from tokenforge.domain.canonical import to_plain
from tokenforge.report.instrument import InstrumentTable, instrument_tables, ms_text
from tokenforge.report.markdown import render_markdown
from tokenforge.report.page import render_report
from tokenforge.store.requests_table import RequestsFile

ENGINES = [Engine(runtime="vllm"), Engine(runtime="transformers", step_ms=16)]
LOADS = [Load(), Load(name="closed", qps=None), Load(name="replay", extra={"arrival": "trace"})]


def finished(*calibrations: dict[str, Any]) -> tuple[dict[str, Any], RequestsFile]:
    document, table = sample(ENGINES, LOADS)
    document["calibration"] = list(calibrations)
    return {**document, "summary": to_plain(summarise(document, table))}, table


def tables(*calibrations: dict[str, Any]) -> dict[str, InstrumentTable]:
    return {table.workload: table for table in instrument_tables(finished(*calibrations)[0]["summary"])}


def cells(table: InstrumentTable, label: str) -> tuple[str, ...]:
    return next(row.cells for row in table.rows if row.label.startswith(label))


def printed(*calibrations: dict[str, Any]) -> str:
    shown = io.StringIO()
    print_summary(finished(*calibrations)[0], console=Console(file=shown, width=160))
    return shown.getvalue()


def test_each_workload_has_a_table_with_a_column_per_runtime() -> None:
    found = tables()
    assert list(found) == ["qa-short", "closed", "replay"]
    assert found["qa-short"].runtimes == ("vllm", "transformers")
    assert cells(found["qa-short"], "Sent late") == ("0.100, 0.400, 0.500",) * 2


def test_a_calibration_is_said_once_for_all_runtimes() -> None:
    found = tables(calibration(late_ns=7_000, blur_ns=3_000))
    assert cells(found["qa-short"], "TTFT error") == ("0.007, 0.007, 0.007",)
    assert cells(found["qa-short"], "ITL error") == ("0.003, 0.003, 0.003",)


def test_what_was_not_calibrated_says_so_with_its_reason() -> None:
    found = tables(calibration(cause="the null server did not start"))
    assert cells(found["qa-short"], "TTFT error") == ("not calibrated: the null server did not start",)
    assert cells(found["closed"], "ITL error") == ("not calibrated",)


def test_arrivals_have_a_p_where_there_is_a_law_and_else_their_plan() -> None:
    found = tables()
    assert all(cell.startswith("p 0.") and cell.endswith("of 5 trials") for cell in cells(found["qa-short"], "Gaps"))
    assert all(cell.endswith("ms of plan") for cell in cells(found["replay"], "Gaps"))
    assert cells(found["closed"], "Gaps") == ("as answers came",) * 2


def test_the_page_and_the_short_form_hold_the_same_errors() -> None:
    document, table = finished(calibration(late_ns=7_000))
    page, words = render_report(document, table), render_markdown(document)
    assert "The instrument" in page
    assert "0.007, 0.007, 0.007" in page
    assert "## Instrument" in words
    assert words.count("0.007, 0.007, 0.007") == 2


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([calibration(late_ns=7_000)], "own error at p99, against a server of known truth: TTFT 0.007 ms, ITL 0 ms."),
        ([], "99 % of sends within 0.400 ms of their time; not calibrated."),
    ],
)
def test_the_terminal_says_it_in_one_line(found: list[dict[str, Any]], words: str) -> None:
    (line,) = [line for line in printed(*found).splitlines() if line.startswith("Instrument:")]
    assert line.endswith(words)


def test_a_summary_of_before_has_no_instrument_and_still_makes_every_form() -> None:
    document, table = finished()
    for run in document["summary"]["runs"]:
        del run["instrument"]
    assert "not calibrated" in render_report(document, table)
    assert "not calibrated" in render_markdown(document)


@pytest.mark.parametrize(
    ("value", "words"), [(None, "–"), (0.0, "0"), (-0.0001, "0"), (-0.0123, "-0.012"), (0.5, "0.500"), (12.34, "12.3")]
)
def test_milliseconds_are_told_to_the_microsecond_where_they_are_few(value: float | None, words: str) -> None:
    assert ms_text(value) == words
